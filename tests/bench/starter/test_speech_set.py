"""Parts from TextGrids and lists of readers, without an aligner."""

from pathlib import Path

import numpy as np
import pytest

from bench.starter import speech_set
from bench.starter.speech_set import Part, limited, read_parts, speech_of, until, with_pauses
from engine.audio import SAMPLE_RATE
from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.text.words import TimedWord
from tests.support.training_fixtures import tone_take
from training.speech.speech import Phone, Speech
from training.speech.utterances import RecordedUtterance


def test_a_recording_gets_stressed_vowels_and_pauses() -> None:
    words = [TimedWord("Hello!", 0.5, 1.0)]
    phones = [
        TimedWord(name, start, end)
        for name, start, end in (
            ("HH", 0.5, 0.6), ("AH0", 0.6, 0.7), ("L", 0.7, 0.8), ("OW1", 0.8, 1.0),
            ("spn", 1.0, 1.2),
        )
    ]  # fmt: skip
    speech = speech_of(np.zeros(2 * SAMPLE_RATE, np.float32), words, phones)
    (word,) = speech.words
    assert (word.text, word.vowel_start, word.vowel_end) == ("hello", 0.8, 1.0)
    assert [p.name for p in speech.phones] == ["pau", "hh", "ah", "l", "ow", "pau"]
    assert speech.phones[-1] == Phone("pau", 1.0, 2.0)


def test_pauses_fill_gaps_longer_than_the_closure_of_a_stop() -> None:
    found = with_pauses([Phone("t", 0.03, 0.1), Phone("aa", 0.2, 0.3)], 0.3)
    assert found == [Phone("t", 0.03, 0.1), Phone("pau", 0.1, 0.2), Phone("aa", 0.2, 0.3)]


def test_a_shorter_part_keeps_whole_words_and_begins_with_a_frame() -> None:
    part = Part("x", tone_take("test", 1).speech)
    short = until(part, 1.27)
    assert short.speech.duration == pytest.approx(1.2)
    assert [w.text for w in short.words] == ["hello"]
    assert short.frames(FrameClock()) == 36
    both = limited([part, part], 2.6)
    assert [p.speech.duration for p in both] == pytest.approx([1.3, 1.3])
    assert limited([part], 60.0) == [part]


def test_test_readers_are_joined_and_those_without_text_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tone_take("test", 1).speech
    rows = ["a\t1\ttest\thello tree", "a\t2\ttrain\thello", "b\t3\ttest\t"]
    (tmp_path / "split.tsv").write_text("\n".join(["set\tutterance\tsplit\ttext", *rows]))
    for name in ("a/1", "a/2", "b/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.flac").touch()
    asked = []

    def align(listed: list[speech_set.Part]) -> tuple[list[RecordedUtterance], list[str]]:
        asked.extend(item.text for item in listed)
        return [RecordedUtterance("a", "test", said)], []

    monkeypatch.setattr(speech_set, "align_all", align)
    monkeypatch.setattr(speech_set, "read_sound", lambda path: said.samples)
    known, without_text = read_parts(tmp_path, None)
    assert asked == ["hello tree"], "training utterances are not used"
    assert (known.name, known.has_transcript, without_text.has_transcript) == ("a", True, False)
    assert len(known.words) == 2
    assert not without_text.words
    assert all(len(p.speech.samples) % (SAMPLE_RATE // 10) == 0 for p in (known, without_text))


def test_no_voices_are_an_error() -> None:
    with pytest.raises(ConfigError, match="--speech"):
        read_parts(None, None)


def test_stresses_are_those_of_the_composer() -> None:
    part = Part("x", tone_take("test", 1).speech)
    assert {stress.word for stress in part.stresses} <= {"hello", "tree"}
    assert Part("x", Speech(np.zeros(SAMPLE_RATE, np.float32), (), ())).stresses == []


def test_synthetic_voices_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    said = tone_take("test", 1, 1.95).speech
    monkeypatch.setattr(speech_set, "held_out_speech", lambda seconds: iter([said, said]))
    parts = speech_set.synthetic_parts(3.9)
    assert [part.name for part in parts] == ["synthetic 0", "synthetic 1"]
    assert [part.speech.duration for part in parts] == pytest.approx([2.0, 2.0])
