from threading import Thread

import pytest

from engine.events import ALL_EVENTS, LATE_FRAME, OVERRUN, EventCounter


def test_counts_by_name_and_amount() -> None:
    events = EventCounter()
    events.count(LATE_FRAME)
    events.count(LATE_FRAME, 4)
    assert events.snapshot()[LATE_FRAME] == 5
    assert events.snapshot()[OVERRUN] == 0


def test_a_snapshot_has_every_event_in_order_and_does_not_change() -> None:
    events = EventCounter()
    snapshot = events.snapshot()
    events.count(OVERRUN)
    assert tuple(snapshot) == ALL_EVENTS
    assert set(snapshot.values()) == {0}


def test_an_unknown_event_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="unknown event 'late'; expected one of overrun"):
        EventCounter().count("late")


def test_threads_lose_no_count() -> None:
    events = EventCounter()

    def many() -> None:
        for _ in range(2000):
            events.count(OVERRUN)

    threads = [Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events.snapshot()[OVERRUN] == 8000


def test_a_note_is_told_once() -> None:
    told: list[str] = []
    events = EventCounter(told.append)
    for text in ("no detector", "cut", "no detector"):
        events.note(text)
    assert told == ["no detector", "cut"]
    assert events.notes == ("no detector", "cut")
    quiet = EventCounter()
    quiet.note("cut")
    assert quiet.notes == ("cut",)
