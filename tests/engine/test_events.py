from threading import Thread

import pytest

from engine.events import ALL_EVENTS, LATE_FRAME, OVERRUN, EventCounter


def test_counts_by_name_and_amount() -> None:
    events = EventCounter()
    events.count(LATE_FRAME)
    events.count(LATE_FRAME, 4)
    assert events.snapshot()[LATE_FRAME] == 5
    assert events.snapshot()[OVERRUN] == 0


def test_a_snapshot_is_a_copy_with_every_event_in_order() -> None:
    events = EventCounter()
    snapshot = events.snapshot()
    events.count(OVERRUN)
    assert tuple(snapshot) == ALL_EVENTS
    assert set(snapshot.values()) == {0}


def test_an_unknown_event_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="unknown event 'late'; expected one of overrun"):
        EventCounter().count("late")


def test_threads_lose_no_count() -> None:
    events = EventCounter()

    def count_repeatedly() -> None:
        for _ in range(2000):
            events.count(OVERRUN)

    threads = [Thread(target=count_repeatedly) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events.snapshot()[OVERRUN] == 8000


def test_a_repeated_note_is_logged_once() -> None:
    messages: list[str] = []
    events = EventCounter(messages.append)
    for text in ("no detector", "cut", "no detector"):
        events.note(text)
    assert messages == ["no detector", "cut"]
    assert events.notes == ("no detector", "cut")
    silent = EventCounter()
    silent.note("cut")
    assert silent.notes == ("cut",)


def test_every_report_is_logged_and_the_oldest_notes_are_dropped() -> None:
    messages: list[str] = []
    events = EventCounter(messages.append)
    for text in ("paused", "paused", *(f"paused {i}" for i in range(200))):
        events.report(text)
    assert messages[:3] == ["paused", "paused", "paused 0"]
    assert len(events.notes) == 100
    assert events.notes[-1] == "paused 199"
