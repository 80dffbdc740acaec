import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.clock import FrameClock
from engine.errors import ConfigError, TranscriptError
from engine.text.words import PAD, UNK, TimedWord, Transcript, Vocabulary, normalise

CLOCK = FrameClock()
VOCABULARY = Vocabulary(["hello", "World", "don't"])


def transcript(*words: tuple[str, float, float]) -> Transcript:
    known = Transcript()
    known.add(TimedWord(*word) for word in words)
    return known


def as_tuples(known: Transcript) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_s, word.end_s) for word in known.words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,", "hello"),
        ("  “World!” ", "world"),
        ("don\u2019t", "don't"),
        ("'em", "'em"),
        ("well-known.", "well-known"),
        ("...", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_vocabulary_numbers_words_after_the_special_ones() -> None:
    assert [VOCABULARY.id_of(w) for w in ("HELLO", "world.", "don\u2019t", "zebra")] == [
        4,
        5,
        6,
        UNK,
    ]
    assert len(VOCABULARY) == 7


@pytest.mark.parametrize("words", [["a", "b", "a"], ["", "a", ""]])
def test_a_vocabulary_with_duplicate_words_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="vocabulary"):
        Vocabulary(words)


def test_the_id_of_the_empty_word_is_used_for_silence() -> None:
    vocabulary = Vocabulary(["hello", "", "world"])
    assert vocabulary.silence == vocabulary.id_of("") == 5
    assert vocabulary.id_of("...") == UNK
    assert VOCABULARY.silence == PAD
    known = transcript(("hello", 0.1, 0.2))
    assert known.ids(vocabulary, CLOCK, 2, 5).tolist() == [5, 4, 4, 4, 5]
    assert known.at_instants(vocabulary, CLOCK, 2, 6).tolist() == [5, 5, 4, 4, 4, 5]


def reference_word_id(intervals: list[tuple[str, float, float]], frame: int) -> int:
    """Word id of a frame in a gapless transcript, as the reference implementation finds it."""
    numbers = {"": PAD, "hello": 4, "world": 5, "don't": 6}
    time = frame / 30
    for text, start, end in intervals:
        if start <= time <= end:
            return numbers[text]
    raise AssertionError("the transcript has a gap")


def test_words_at_frame_times_equal_the_reference_implementation() -> None:
    intervals = [
        *(("hello", 0.0, 0.1), ("", 0.1, 0.31), ("world", 0.31, 0.5), ("don't", 0.5, 0.51)),
        *(("hello", 0.51, 1.0), ("", 1.0, 1.4), ("world", 1.4, 1.42), ("", 1.42, 1.7)),
        *(("don't", 1.7, 2.05), ("", 2.05, 9.0)),
    ]
    known = transcript(*(word for word in intervals if word[0]))
    expected = [reference_word_id(intervals, frame) for frame in range(90)]
    assert known.at_instants(VOCABULARY, CLOCK, 0, 90).tolist() == expected
    for first in range(0, 90, 9):
        part = known.at_instants(VOCABULARY, CLOCK, first, 9).tolist()
        assert part == expected[first : first + 9]
    assert known.ids(VOCABULARY, CLOCK, 0, 90).tolist() != expected
    assert known.at_instants(VOCABULARY, CLOCK, 5, 0).shape == (0,)


def test_words_of_different_spelling_keep_their_ids() -> None:
    words = ["No.", "NO", "no", "Yes.", "YES", "-"]
    vocabulary = Vocabulary(words)
    assert [vocabulary.id_of(word) for word in words] == [4, 5, 6, 7, 8, 9]
    assert [vocabulary.id_of(word) for word in ("No", "yes", "--")] == [6, 7, UNK]


@pytest.mark.parametrize(
    "word", [("", 0, 1), ("x", 2, 1), ("x", float("nan"), 1), ("x", 0, float("inf"))]
)
def test_an_invalid_word_is_refused(word: tuple[str, float, float]) -> None:
    with pytest.raises(TranscriptError):
        TimedWord(*word)


def test_ids_of_frames() -> None:
    known = transcript(("hello", 0.1, 0.2), ("zebra", 0.2, 0.21), ("world", 0.3, 0.4))
    ids = known.ids(VOCABULARY, CLOCK, 2, 12)
    assert ids.dtype == np.int64
    #           frames 2  3  4  5  6    7  8  9  10 11 12 13
    assert ids.tolist() == [0, 4, 4, 4, UNK, 0, 0, 5, 5, 5, 0, 0]


def test_ids_before_the_stream_and_in_the_future() -> None:
    known = transcript(("hello", 0.0, 0.1), ("world", 3600.0, 3600.1))
    assert known.ids(VOCABULARY, CLOCK, -2, 6).tolist() == [PAD, PAD, 4, 4, 4, PAD]
    assert known.ids(VOCABULARY, CLOCK, 108000, 3).tolist() == [5, 5, 5]
    assert known.ids(VOCABULARY, CLOCK, 5, 0).shape == (0,)


def test_later_words_replace_overlapped_ones() -> None:
    known = transcript(("wreck", 0, 0.3), ("a", 0.3, 0.4), ("nice", 0.4, 0.9), ("beach", 1, 2))
    known.add([TimedWord("recognise", 0.05, 0.85)])
    assert as_tuples(known) == [("recognise", 0.05, 0.85), ("beach", 1, 2)]


def test_a_slight_overlap_shortens_the_earlier_word() -> None:
    known = transcript(("hello", 0, 0.5), ("again", 0.88, 1.2))
    known.add([TimedWord("world", 0.47, 0.9)])
    assert as_tuples(known) == [("hello", 0, 0.47), ("world", 0.47, 0.9), ("again", 0.9, 1.2)]


def test_words_of_one_message_do_not_delete_each_other() -> None:
    known = transcript(("b", 0.5, 1.0), ("a", 0.0, 0.8), ("c", 0.5, 1.2))
    assert as_tuples(known) == [("a", 0.0, 0.5), ("c", 0.5, 1.2)]


def test_snapshot_restore_clear() -> None:
    known = transcript(("hello", 0, 1))
    state = known.snapshot()
    known.add([TimedWord("world", 0.5, 2)])
    known.restore(state)
    assert as_tuples(known) == [("hello", 0, 1)]
    known.clear()
    assert known.ids(VOCABULARY, CLOCK, 0, 3).tolist() == [0, 0, 0]


times = st.floats(0, 3).map(lambda x: round(x, 2))
batches = st.lists(st.lists(st.tuples(times, times), max_size=4), max_size=6)


@settings(max_examples=150, deadline=None)
@given(batches)
@example([[(0.0, 1.0)], [(0.03, 0.03)]])
def test_a_transcript_stays_in_order_and_keeps_the_newest(
    messages: list[list[tuple[float, float]]],
) -> None:
    known = Transcript()
    for number, message in enumerate(messages):
        batch = [TimedWord(f"w{number}", min(t), max(t)) for t in message]
        known.add(batch)
        for word in batch:
            middle = [w for w in known.words if w.start_s <= word.start_s <= w.end_s]
            assert any(w.text == f"w{number}" for w in middle)
    starts = [word.start_s for word in known.words]
    assert starts == sorted(starts)
    for word, following in zip(known.words, known.words[1:], strict=False):
        assert word.end_s <= following.start_s
    ids = known.ids(Vocabulary(["w0"]), CLOCK, 0, 90)
    parts = [known.ids(Vocabulary(["w0"]), CLOCK, first, 9) for first in range(0, 90, 9)]
    np.testing.assert_array_equal(np.concatenate(parts), ids)


def test_old_and_surplus_words_are_removed() -> None:
    transcript = Transcript()
    transcript.add([TimedWord("w", float(k), k + 0.5) for k in range(100)])
    transcript.forget(50.0, 1000)
    assert [word.start_s for word in transcript.words] == [float(k) for k in range(50, 100)]
    transcript.forget(0.0, 10)
    assert len(transcript.words) == 10
    assert transcript.words[-1].start_s == 99.0
