"""Animated picture: frames are stepped through the page, and each screenshot is stable."""

import io
from pathlib import Path

import numpy as np
import pytest

from bench.plots import avatar_film
from bench.plots.avatar_film import Speech, record
from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.text.words import TimedWord
from tests.support.audio import babble
from tests.support.training_fixtures import waving


def png(level: int) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (8, 6), (level, 0, 0)).save(target, "PNG")
    return target.getvalue()


class Shots:
    """Browser with given screenshots; the last one repeats."""

    def __init__(self, *shots: bytes) -> None:
        self.shots = list(shots)
        self.taken = 0

    def wait(self, seconds: float) -> None:
        pass

    def screenshot(self) -> bytes:
        self.taken += 1
        return self.shots.pop(0) if len(self.shots) > 1 else self.shots[0]

    def console(self) -> list[str]:
        return ["WebGL is off"]


@pytest.mark.parametrize(
    ("shots", "expected", "taken"),
    [
        ((b"new", b"new"), b"new", 2),
        ((b"old", b"old", b"half", b"new", b"new"), b"new", 5),
        ((b"old",), b"old", 30),
    ],
)
def test_a_screenshot_is_taken_once_it_is_new_and_stable(
    shots: tuple[bytes, ...], expected: bytes, taken: int
) -> None:
    page = Shots(*shots)
    assert avatar_film._settled(page, b"old") == expected  # type: ignore[arg-type]
    assert page.taken == taken


@pytest.mark.matplotlib  # installs Pillow
def test_page_without_an_avatar_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no avatar within 60 s.*WebGL is off"):
        avatar_film._wait_for_avatar(Shots(png(1)))  # type: ignore[arg-type]


@pytest.mark.matplotlib
def test_film_is_an_animated_webp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    motion = waving(1, 8)
    shown: list[int] = []

    def pictures(_: Motion, frames: list, speech: Speech) -> list[bytes]:
        shown.extend(frame.index for frame in frames)
        return [png(30 * frame.index) for frame in frames]

    monkeypatch.setattr(avatar_film, "record", pictures)
    monkeypatch.setattr(avatar_film, "FRAME_RATE", 15)
    avatar_film.avatar_film(tmp_path / "a.webp", motion, Speech(babble(0.3), 16000))
    assert shown == [0, 2, 4, 6]
    with Image.open(tmp_path / "a.webp") as film:
        assert (film.format, film.size, film.n_frames) == ("WEBP", (8, 6), 4)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.viewer
@pytest.mark.matplotlib
def test_real_page_shows_a_moving_avatar() -> None:
    motion = waving(1, 40)
    frames = list(motion.poses.frames(motion.format.clock))[:20:10]
    speech = Speech(babble(2.0), 16000, [TimedWord("hello", 0.0, 1.0)])
    first, second = record(motion, frames, speech)
    pictures = [np.asarray(avatar_film._image(shot), int) for shot in (first, second)]
    assert pictures[0].shape == (600, 480, 3)
    moved = (np.abs(pictures[0] - pictures[1]).sum(-1) > 60)[:400]
    assert moved.sum() > 200
