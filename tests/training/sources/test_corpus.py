"""Corpora of recorded takes: equal lengths, and invalid takes skipped."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import ClipError, ConfigError
from engine.text.words import TimedWord
from tests.support.training_fixtures import waving
from training.data.takes import Missing, read_take
from training.sources.corpus import (
    Loaded,
    Problem,
    RecordedTake,
    stresses_of,
    take_of,
    write_corpus,
)


def test_stresses_need_phones() -> None:
    sound = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    words = [TimedWord("garden", 0.1, 0.6)]
    assert stresses_of(sound, words, []) == []
    phones = [TimedWord("AA2", 0.2, 0.3), TimedWord("EH1", 0.4, 0.5), TimedWord("N", 0.5, 0.6)]
    (stress,) = stresses_of(sound, words, phones)
    assert (stress.time, stress.word) == (0.4, "garden")
    # A vowel after the end of the sound has no stress.
    assert stresses_of(sound[:7000], words, phones) == []


def tone(path: Path, seconds: float) -> Path:
    at = np.arange(round(seconds * 16000)) / 16000
    soundfile.write(path, 0.2 * np.sin(700 * at), 16000)
    return path


def test_motion_and_sound_become_one_length(tmp_path: Path) -> None:
    words = [TimedWord("garden", 0.1, 0.6), TimedWord("late", 0.9, 1.2)]
    found = RecordedTake("a", "v", "val", waving(1, 45), tone(tmp_path / "a.wav", 1.0), words)
    take, problems = take_of(found)
    assert (len(take.motion), len(take.sound), problems) == (30, 16000, [])
    assert [word.text for word in take.words] == ["garden"]
    assert (take.voice, take.split, take.missing) == ("v", "val", ())


def test_motion_that_is_much_longer_is_reported(tmp_path: Path) -> None:
    found = RecordedTake("a", "v", "val", waving(1, 90), tone(tmp_path / "a.wav", 1.0))
    _, problems = take_of(found)
    assert problems == [Problem("a", "the motion is +2.0 s longer than sound")]


def test_what_there_is_not_is_missing() -> None:
    take, _ = take_of(RecordedTake("a", "v", "train", waving(1, 31), face=False))
    assert take.missing == (Missing.FACE, Missing.WORDS, Missing.SOUND)
    assert (len(take.sound), take.sound.any()) == (16533, False)
    assert len(take.motion) == 31


@dataclass(frozen=True)
class Job:
    name: str
    split: str = "train"


def load(job: Job) -> Loaded:
    if job.name == "broken":
        raise ClipError("line 7: expected a number")
    return take_of(
        RecordedTake(job.name, "v", job.split, waving(1, 0 if job.name == "empty" else 30))
    )


def test_invalid_takes_are_reported_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [Job("a"), Job("broken"), Job("b", "test"), Job("empty")]
    facts = {"data": "mine", "fps": 30}
    write_corpus(tmp_path, jobs, load, [Problem("c", "no motion")], facts, workers=1)
    shown = capsys.readouterr().out
    assert "broken: line 7: expected a number; skipped" in shown
    assert "empty: no frame has sound; skipped" in shown
    corpus = json.loads((tmp_path / "corpus.json").read_text())
    assert (corpus["data"], corpus["fps"], corpus["sample_rate"]) == ("mine", 30, 16000)
    assert [take["name"] for take in corpus["takes"]] == ["train_a", "test_b"]
    assert [problem["name"] for problem in corpus["problems"]] == ["c", "broken", "empty"]
    assert read_take(tmp_path / "test_b.npz").split == "test"
    assert isinstance(json.loads((tmp_path / "vocabulary.json").read_text()), list)
    # Of the split train only.
    assert json.loads((tmp_path / "statistics.json").read_text())["frames"] == 30


def test_a_corpus_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no take of mine could be used"):
        write_corpus(tmp_path, [Job("broken")], load, [], {"data": "mine", "fps": 30}, workers=1)
