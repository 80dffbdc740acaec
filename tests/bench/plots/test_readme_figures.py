"""Pictures of README and docs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.plots import readme_figures as report
from bench.plots.readme_figures import draw, render, shuffled, strip_frames
from engine.text.words import TimedWord
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle
from tests.support.training_fixtures import waving
from training.data.clips import save_clip


def test_every_frame_is_rendered() -> None:
    assert len(render(tiny_bundle(), babble(1.0))) == 30


@pytest.mark.matplotlib
def test_pictures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_FILM_S", 0.4)
    rows, films = [], []
    monkeypatch.setattr(
        report, "strips", lambda own, frames: rows.extend(own) or b"\x89PNG of four"
    )
    monkeypatch.setattr(report, "avatar_film", lambda *arguments: films.append(arguments))
    monkeypatch.setattr(report, "_composer", lambda *_: waving(1, 70))
    sound, take = tmp_path / "s.wav", tmp_path / "take.npz"
    soundfile.write(sound, babble(2.0), 16000)
    save_clip(take, waving(2, 60), {})
    words = [TimedWord("one", 0.1, 0.3)]
    draw(tiny_bundle(), sound, tmp_path, words, tmp_path, take)
    for name in ("contact_sheet.png", "wrist_over_waveform.png", "side_by_side.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert [label for label, _ in rows] == ["composer", "network", "shuffled sound", "recorded"]
    ((path, motion, speech),) = films
    assert path == tmp_path / "avatar.webp"
    assert (len(motion), len(speech.samples), speech.words) == (12, 6400, words)


def test_rows_without_clips_and_take_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for name in ("contact_sheet", "wrists_over_speech", "avatar_film"):
        monkeypatch.setattr(report, name, lambda *_: None)
    monkeypatch.setattr(report, "strips", lambda own, frames: drawn.extend(own) or b"")
    sound = tmp_path / "s.wav"
    soundfile.write(sound, babble(1.5), 16000)
    draw(tiny_bundle(), sound, tmp_path)
    (_, true), (_, false) = drawn
    assert np.abs(true.poses.rotations - false.poses.rotations).max() > 1e-6


def test_shuffled_sound_is_a_permutation_of_its_pieces() -> None:
    sound = np.arange(16000 * 5 + 7, dtype=np.float32)
    other = shuffled(sound)
    assert sorted(other) == sorted(sound)
    assert not (other == sound)[: 16000 * 5].all()
    assert (shuffled(sound) == other).all()


def test_strips_end_with_the_shortest_row() -> None:
    frames = strip_frames([("a", waving(1, 200)), ("b", waving(1, 100))], 30)
    assert frames == [30, 45, 60, 75, 90]
    assert strip_frames([("a", waving(1, 20))], 30) == [0]
