from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.quality.takes import find_speech, load_pairs
from engine.errors import ConfigError
from engine.motion.pose import Motion
from tests.support.training_fixtures import waving
from training.data.clips import save_clip
from training.sources.resample import resampled, shortened

WORDS = "start\tend\tword\n0.5\t1.0\thello\n"


def save(folder: Path, **motions: Motion) -> Path:
    folder.mkdir(exist_ok=True)
    for name, motion in motions.items():
        save_clip(folder / f"{name}.npz", motion, {})
    return folder


def test_takes_are_paired_by_name_and_cut_alike(tmp_path: Path) -> None:
    made = save(tmp_path / "made", a=waving(1, 50), b=resampled(waving(2, 91), 15), c=waving(3))
    true = save(tmp_path / "true", a=waving(4, 40), b=waving(5, 80), d=waving(6))
    pairs, problems = load_pairs(made, true, None)
    assert [p.name for p in pairs] == ["a", "b"]
    assert [(len(p.made), len(p.true)) for p in pairs] == [(40, 40), (80, 80)]
    assert pairs[1].made.format.clock.frame_rate == pairs[1].fps == 30
    assert problems == [("c", "not in --gt; skipped"), ("d", "not in --pred; skipped")]
    assert pairs[0].onsets is None
    assert pairs[0].speaking is None


def test_a_broken_file_is_reported_and_skipped(tmp_path: Path) -> None:
    made = save(tmp_path / "made", a=waving(1), b=waving(2), c=shortened(waving(3), 3))
    true = save(tmp_path / "true", a=waving(4), b=waving(5), c=waving(6))
    (made / "b.npz").write_bytes(b"?")
    (pair,), problems = load_pairs(made, true, None)
    assert pair.name == "a"
    assert [name for name, _ in problems] == ["b", "c"]
    assert "four frames" in problems[1][1]


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    folder = save(tmp_path / "both", made=waving(1), true=waving(2))
    (pair,), problems = load_pairs(folder / "made.npz", folder / "true.npz", None)
    assert (pair.name, problems) == ("true", [])
    assert not np.array_equal(pair.made.poses.face, pair.true.poses.face)


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    made, true = save(tmp_path / "made", a=waving(1)), save(tmp_path / "true", b=waving(2))
    with pytest.raises(ConfigError, match=r"no take is in both .* \(a: not in --gt"):
        load_pairs(made, true, None)


@pytest.mark.librosa
def test_audio_and_words_are_with_the_truth_or_elsewhere(tmp_path: Path) -> None:
    made = save(tmp_path / "made", a=waving(1, 200))
    true = save(tmp_path / "true", a=waving(2, 200))
    sound = 0.3 * np.sin(np.arange(110000)) * (np.arange(110000) // 8000 % 2)
    for folder in (true, tmp_path / "audio"):
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / "a.wav", sound, 16000)
    (pair,), _ = load_pairs(made, true, None)
    assert pair.speaking is not None
    assert 0.2 < pair.speaking.mean() < 0.9
    assert pair.onsets is not None
    assert len(pair.onsets) >= 2
    (tmp_path / "audio" / "a.tsv").write_text(WORDS)
    (pair,), _ = load_pairs(made, true, tmp_path / "audio")
    # Words take precedence over loudness.
    assert pair.speaking is not None
    assert np.flatnonzero(pair.speaking).tolist() == list(range(15, 30))
    (tmp_path / "audio" / "a.tsv").write_text("no words")
    with pytest.raises(ConfigError, match="line 1"):
        load_pairs(made, true, tmp_path / "audio")


def test_the_first_folder_that_has_a_file_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").touch()
    (tmp_path / "two" / "b.TextGrid").touch()
    speech = find_speech([tmp_path / "one", tmp_path / "two", tmp_path / "none"])
    assert speech.sounds == {"a": tmp_path / "one" / "a.wav"}
    assert speech.words == {"b": tmp_path / "two" / "b.TextGrid"}
