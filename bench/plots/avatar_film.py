"""Animated picture of the viewer's avatar: the page, stepped frame by frame in Chromium.

The page normally runs on the wall clock. Here its clock is set by script, so that a slow software
renderer gives the same pictures as a fast one.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.plots.screenshot import Browser, browser
from engine.errors import ConfigError
from engine.motion.pose import FloatArray, Motion, PoseFrame
from engine.system.atomic import atomic
from engine.text.words import TimedWord
from exporters.address import LOOPBACK
from exporters.viewer.page import PageServer
from exporters.viewer.scene import Scene
from exporters.wire import words_json

FRAME_RATE = 30
"""Pictures per second."""
_SIZE = (480, 600)  # pixels
_VIEW = "gesture"
_QUALITY = 70  # of WebP, 0 to 100
_AHEAD_S = 1.0  # audio that the waveform shows in advance
_READY_S = 60.0  # for loading the page and drawing the avatar
_SETTLE_S = 0.1
_MOST_SHOTS = 30  # screenshots of one frame until two in a row are equal

# Only the page's own clock is replaced; that of the scene, in its iframe, continues.
_MANUAL_CLOCK = "if (window === top) { window.now_ms = 0; performance.now = () => window.now_ms; }"
_HIDE_CONTROLS = "document.getElementById('bar').style.display = 'none'"


class Speech(NamedTuple):
    """Speech of the film.

    Attributes:
        samples: mono `[S]`, as long as the motion.
        rate: sample rate, Hz.
        words: words with times from 0.

    """

    samples: FloatArray
    rate: int
    words: Sequence[TimedWord] = ()


def avatar_film(path: Path, motion: Motion, speech: Speech) -> None:
    """Write an animated WebP of `motion` in the viewer, with words and waveform.

    Raises ConfigError without Chromium, viser or Pillow.
    """
    fps = motion.format.clock.frame_rate
    step = max(1, round(fps / FRAME_RATE))
    frames = list(motion.poses.frames(motion.format.clock))[::step]
    pictures = record(motion, frames, speech)
    _save(path, pictures, 1000 * step / fps)


def record(motion: Motion, frames: Sequence[PoseFrame], speech: Speech) -> list[bytes]:
    """One PNG per frame."""
    page = PageServer(LOOPBACK, 0)
    try:
        scene = Scene(LOOPBACK, page.port + 1)
        try:
            return _record(page, scene, motion, frames, speech)
        finally:
            scene.close()
    finally:
        page.close()


def _record(
    page: PageServer, scene: Scene, motion: Motion, frames: Sequence[PoseFrame], speech: Speech
) -> list[bytes]:
    scene.show_format(motion.format)
    scene.show(frames[0])
    scene.look(_VIEW)
    page.push("scene", {"port": scene.port}, keep=True)
    page.push("state", {"connected": True}, keep=True)
    page.push("words", {"words": words_json(list(speech.words))}, keep=True)
    pictures: list[bytes] = []
    try:
        with browser() as chromium:
            chromium.open("about:blank", *_SIZE)
            chromium.call("Page.addScriptToEvaluateOnNewDocument", source=_MANUAL_CLOCK)
            chromium.call("Page.navigate", url=f"http://{page.host}:{page.port}")
            _wait_for_avatar(chromium)
            chromium.evaluate(_HIDE_CONTROLS)
            sent = 0
            for frame in frames:
                until = min(len(speech.samples), frame.sample + round(_AHEAD_S * speech.rate))
                page.push_audio(sent, speech.rate, speech.samples[sent:until])
                sent = until
                _show(page, scene, chromium, frame, speech.rate)
                pictures.append(_settled(chromium, pictures[-1] if pictures else b""))
    except FileNotFoundError as error:
        raise ConfigError(f"the avatar is drawn in a browser: {error}") from error
    return pictures


def _show(page: PageServer, scene: Scene, chromium: Browser, frame: PoseFrame, rate: int) -> None:
    seconds = frame.sample / rate
    chromium.evaluate(f"window.now_ms = {1000 * seconds}")
    scene.show(frame)
    page.push("clock", {"time": seconds, "fps": 0, "held": False, "idle": False})


def _wait_for_avatar(chromium: Browser) -> None:
    """Wait until the picture has stopped changing after the scene has connected."""
    before = b""
    for _ in range(round(_READY_S)):
        chromium.wait(1.0)
        now = chromium.screenshot()
        if now == before and _colours(now) > 500:  # an empty scene is a plain gradient
            return
        before = now
    raise ConfigError(f"the page showed no avatar within {_READY_S:.0f} s: {chromium.console()}")


def _settled(chromium: Browser, previous: bytes) -> bytes:
    """Screenshot once it differs from the frame before and two in a row are equal."""
    before = b""
    for _ in range(_MOST_SHOTS):
        chromium.wait(_SETTLE_S)
        now = chromium.screenshot()
        if now == before != previous:
            return now
        before = now
    return before


def _colours(png: bytes) -> int:
    return len(np.unique(np.asarray(_image(png)).reshape(-1, 3), axis=0))


def _image(png: bytes) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(
            "animated pictures need Pillow, which is not installed; run: pip install pillow"
        ) from error
    return Image.open(io.BytesIO(png)).convert("RGB")


def _save(path: Path, pictures: Sequence[bytes], duration_ms: float) -> None:
    first, *others = map(_image, pictures)
    options = {"duration": round(duration_ms), "loop": 0, "quality": _QUALITY, "method": 4}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        first.save(part, "WEBP", save_all=True, append_images=others, **options)
