import json

import numpy as np

from engine.events import REJECTED_MESSAGE, EventCounter
from engine.text.json_lines import JsonLineDecoder


def line(text: str, start_s: float) -> bytes:
    message = {"words": [{"word": text, "start": start_s, "end": start_s + 0.5}]}
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def test_any_split_gives_the_same_words() -> None:
    data = line("hello", 0) + b"\r\n" + line("café", 1) + b"not json\n" + line("world", 2)
    for seed in range(20):
        events = EventCounter()
        decoder = JsonLineDecoder(events)
        cuts = np.sort(np.random.default_rng(seed).integers(0, len(data), 9))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        words = [word.text for piece in pieces for word in decoder.feed(piece)]
        assert words == ["hello", "café", "world"]
        assert events.snapshot()[REJECTED_MESSAGE] == 1


def test_flush_parses_an_unterminated_last_line() -> None:
    decoder = JsonLineDecoder(EventCounter())
    assert decoder.feed(line("hello", 0).rstrip()) == []
    assert [word.text for word in decoder.flush()] == ["hello"]
    assert decoder.flush() == []


def test_an_endless_line_is_dropped_and_counted_once() -> None:
    events = EventCounter()
    decoder = JsonLineDecoder(events)
    for _ in range(40):
        assert decoder.feed(b"x" * 100_000) == []
    assert len(decoder._rest) <= 1 << 20
    assert [word.text for word in decoder.feed(b"\n" + line("hello", 0))] == ["hello"]
    assert events.snapshot()[REJECTED_MESSAGE] == 1


def test_the_first_invalid_line_is_noted() -> None:
    events = EventCounter()
    decoder = JsonLineDecoder(events)
    decoder.feed(line("hello", 0) + b"0.1 0.2 word\n" + b"nonsense\n")
    assert events.snapshot()[REJECTED_MESSAGE] == 2
    assert len(events.notes) == 1
    assert "0.1 0.2 word" in events.notes[0]
