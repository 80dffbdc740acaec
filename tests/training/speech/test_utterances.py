"""Recorded utterances: list, audio, and failed alignments."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError, TranscriptError
from training.speech import utterances
from training.speech.speech import Speech
from training.speech.utterances import (
    RecordedUtterance,
    align_all,
    draw_utterances,
    read_list,
    read_sound,
)


def write(folder: Path, rows: list[str], header: str = "set\tutterance\tsplit\ttext") -> Path:
    (folder / "ann").mkdir(parents=True, exist_ok=True)
    (folder / "split.tsv").write_text("\n".join([header, *rows]) + "\n")
    tone = 0.5 * np.ones(SAMPLE_RATE, np.float32)
    for name in ("one", "two"):
        soundfile.write(folder / "ann" / f"{name}.flac", tone, SAMPLE_RATE)
    return folder


def test_the_list_has_utterances_with_sound_and_text(tmp_path: Path) -> None:
    rows = ['ann\tone\ttrain\t"Hello," he said', "ann\ttwo\ttest\t ", "ann\tgone\ttrain\tHi"]
    found = read_list(write(tmp_path, rows))
    assert [(u.reader, u.split, u.text) for u in found] == [("ann", "train", '"Hello," he said')]


def test_a_folder_without_a_list_or_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"split\.tsv"):
        read_list(tmp_path)
    with pytest.raises(ConfigError, match="'text'"):
        read_list(write(tmp_path, ["ann\tone\ttrain"], "set\tutterance\tsplit"))


def test_ends_of_recordings_are_faded(tmp_path: Path) -> None:
    sound = read_sound(write(tmp_path, []) / "ann" / "one.flac")
    assert len(sound) == SAMPLE_RATE
    assert abs(sound[0]) < 0.01 > abs(sound[-1])
    assert sound[SAMPLE_RATE // 2] == pytest.approx(0.5, abs=1e-3)


def test_what_does_not_fit_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky:
        def align(self, samples: np.ndarray, text: str) -> Speech:
            if text == "bad":
                raise TranscriptError("does not fit")
            return Speech(samples, (), ())

    monkeypatch.setattr(utterances, "Aligner", Picky)
    rows = ["ann\tone\ttrain\tgood", "ann\ttwo\ttest\tbad"]
    aligned, problems = align_all(read_list(write(tmp_path, rows)))
    assert [(a.reader, a.split) for a in aligned] == [("ann", "train")]
    assert problems == ["ann/two.flac: does not fit"]
    assert align_all([]) == ([], [])


def test_drawing_keeps_to_reader_and_split() -> None:
    def said(reader: str, split: str, mark: float) -> RecordedUtterance:
        return RecordedUtterance(
            reader, split, Speech(np.full(4 * SAMPLE_RATE, mark, np.float32), (), ())
        )

    items = [said("ann", "train", 1), said("ann", "test", 2), said("bob", "train", 3)]
    items += [said("ann", "train", 1)] * 5
    rng = np.random.default_rng(0)
    for _ in range(10):
        reader, pieces = draw_utterances(items, "train", 9.0, rng)
        marks = {float(p.samples[0]) for p in pieces}
        assert marks == ({1.0} if reader == "ann" else {3.0})
        assert sum(p.duration for p in pieces) < 13
    with pytest.raises(ConfigError, match="'val'"):
        draw_utterances(items, "val", 9.0, rng)
