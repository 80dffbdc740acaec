from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.text.words import TimedWord
from tests.support.training_fixtures import waving
from training.data.clips import load_clip
from training.data.takes import Missing, TakeFile, read_heading, read_take, write_take


def take(**changes: object) -> TakeFile:
    whole = TakeFile(
        motion=waving(1, 45),
        sound=np.linspace(-1, 1, 24000, dtype=np.float32),
        words=(TimedWord("hello", 0.25, 0.5), TimedWord("tree", 0.75, 1.25)),
        stressed_times=np.array([0.5, 1.0], np.float32),
        stressed_strengths=np.array([0.25, 1.0], np.float32),
        voice="nobody",
        split="test",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_take_round_trip(tmp_path: Path) -> None:
    made = take(missing=(Missing.FACE, Missing.WORDS))
    write_take(tmp_path / "a.npz", made)
    back = read_take(tmp_path / "a.npz")
    assert (back.words, back.voice, back.split, back.missing) == (
        *(made.words, made.voice, made.split, made.missing),
    )
    assert back.clock == FrameClock()
    assert np.abs(back.sound - made.sound).max() < 1e-4
    np.testing.assert_array_equal(back.stressed_times, made.stressed_times)
    np.testing.assert_array_equal(back.stressed_strengths, made.stressed_strengths)
    np.testing.assert_array_equal(back.motion.poses.rotations, made.motion.poses.rotations)
    assert back.stressed_kinds.tolist() == [0, 0], "unknown"
    write_take(tmp_path / "a.npz", take(stressed_kinds=np.array([3, 1])))
    assert read_take(tmp_path / "a.npz").stressed_kinds.tolist() == [3, 1]


def test_take_is_a_clip_with_missing_components(tmp_path: Path) -> None:
    write_take(tmp_path / "a.npz", take(missing=(Missing.SOUND,)))
    _, meta = load_clip(tmp_path / "a.npz")
    assert meta == {"name": "a", "voice": "nobody", "split": "test", "missing": ["sound"]}
    write_take(tmp_path / "b.npz", take())
    assert "missing" not in load_clip(tmp_path / "b.npz")[1]


def test_takes_without_words_are_accepted(tmp_path: Path) -> None:
    none = np.zeros(0, np.float32)
    write_take(tmp_path / "a.npz", take(words=(), stressed_times=none, stressed_strengths=none))
    back = read_take(tmp_path / "a.npz")
    assert back.words == ()
    assert len(back.stressed_times) == 0


@pytest.mark.parametrize("key", ["audio", "words", "starts", "ends", "stressed_times", "voice"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    write_take(tmp_path / "a.npz", take())
    with np.load(tmp_path / "a.npz") as file:
        arrays = {name: file[name] for name in file.files if name != key}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ConfigError, match=rf"a\.npz: expected the key '{key}'"):
        read_take(tmp_path / "a.npz")


def test_heading_has_format_and_missing_components(tmp_path: Path) -> None:
    made = take(missing=(Missing.FACE,))
    write_take(tmp_path / "a.npz", made)
    heading = read_heading(tmp_path / "a.npz")
    assert (heading.format, heading.missing) == (made.motion.format, (Missing.FACE,))
    np.savez(tmp_path / "b.npz", face=np.zeros(3))
    with pytest.raises(ConfigError, match=r"b\.npz: expected the key 'fps'"):
        read_heading(tmp_path / "b.npz")
