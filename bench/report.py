"""The pictures in README: what a bundle makes of a sound file, to be looked at.

Renders through the live stream as fast as it goes; knows no audio devices and no sockets.
"""

from pathlib import Path

import numpy as np

from bench.figures import contact_sheet, wrists_over_speech
from bench.latency import RATE
from engine.audio.source import WavSource
from engine.bundle import Bundle
from engine.pose import Motion, concatenate
from engine.stream import GestureStream
from engine.text.words import TimedWord

_POSES = 16


def render(bundle: Bundle, samples: np.ndarray, words: list[TimedWord] | None = None) -> Motion:
    """The motion of mono 16 kHz samples `[S]`, on the bundle's own live schedule."""
    stream = GestureStream(bundle)
    stream.feed_words(words or [])
    stream.feed_audio(samples)
    return Motion(stream.format, concatenate(stream.flush()))


def draw(bundle: Bundle, sound: Path, out: Path, words: list[TimedWord] | None = None) -> None:
    """Write OUT/contact_sheet.png and OUT/wrist_over_waveform.png."""
    samples = np.concatenate([block.samples for block in WavSource(sound).blocks()])
    motion = render(bundle, samples, words)
    fps = motion.format.clock.frame_rate
    frames = np.linspace(fps, len(motion) - 1, _POSES).astype(int)
    contact_sheet(out / "contact_sheet.png", [(f"{f / fps:.1f} s", motion, int(f)) for f in frames])
    wrists_over_speech(out / "wrist_over_waveform.png", motion, samples, RATE)
