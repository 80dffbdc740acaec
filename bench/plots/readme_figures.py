"""Pictures of README and docs: motion that a bundle generates from an audio file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.plots.avatar_film import Speech, avatar_film
from bench.plots.figures import contact_sheet, strips, wrists_over_speech
from bench.quality.motion_files import read_motion
from bench.starter.renderings import composed, cut
from bench.starter.speech_set import Part
from engine.audio import SAMPLE_RATE
from engine.audio.source import WavSource
from engine.bundle.io import Bundle
from engine.motion.pose import Motion, concatenate
from engine.stream.stream import GestureStream
from engine.system.atomic import write_bytes
from engine.text.words import TimedWord
from training.sources.resample import resampled
from training.speech.align import Aligner

_POSES = 16
_FILM_S = 8.0
_STRIP_POSES, _STRIP_STEP_S = 14, 0.5
_SHUFFLED_S = 0.5


def render(bundle: Bundle, samples: np.ndarray, words: list[TimedWord] | None = None) -> Motion:
    """Generate the motion of mono 16 kHz samples `[S]` with the bundle's live schedule."""
    stream = GestureStream(bundle)
    stream.feed_words(words or [])
    stream.feed_audio(samples)
    return Motion(stream.format, concatenate(stream.flush()))


def draw(
    bundle: Bundle,
    sound: Path,
    out: Path,
    words: list[TimedWord] | None = None,
    clips: Path | None = None,
    take: Path | None = None,
) -> None:
    """Write the pictures of README and docs to `out`: an animation, sheets and a plot.

    clips: output folder of the stage retarget; adds a row of the composer to side_by_side.png.
    take: recorded motion to the same audio; adds a row of it. Raises ConfigError without a browser,
    viser, matplotlib or Pillow.
    """
    samples = np.concatenate([block.samples for block in WavSource(sound).blocks()])
    motion = render(bundle, samples, words)
    fps = motion.format.clock.frame_rate
    frames = np.linspace(fps, len(motion) - 1, _POSES).astype(int)
    contact_sheet(out / "contact_sheet.png", [(f"{f / fps:.1f} s", motion, int(f)) for f in frames])
    wrists_over_speech(out / "wrist_over_waveform.png", motion, samples, SAMPLE_RATE)
    rows = [("network", motion), ("shuffled sound", render(bundle, shuffled(samples)))]
    if clips is not None:
        rows.insert(0, ("composer", _composer(clips, samples, words or [])))
    if take is not None:
        rows.append(("recorded", resampled(read_motion(take), fps)))
    write_bytes(out / "side_by_side.png", strips(rows, strip_frames(rows, fps)))
    _film(out / "avatar.webp", motion, samples, words or [])


def _film(path: Path, motion: Motion, samples: np.ndarray, words: Sequence[TimedWord]) -> None:
    """Film the first seconds of the motion, with the same part of the audio."""
    clock = motion.format.clock
    last = min(len(motion), clock.frame_at_time(_FILM_S))
    avatar_film(
        path, cut(motion, 0, last), Speech(samples[: clock.first_sample(last)], SAMPLE_RATE, words)
    )


def shuffled(samples: np.ndarray, seed: int = 0) -> np.ndarray:
    """Permute half-second pieces of the audio; a shorter remainder stays at the end."""
    size = int(_SHUFFLED_S * SAMPLE_RATE)
    whole = len(samples) // size * size
    order = np.random.default_rng(seed).permutation(whole // size)
    pieces = samples[:whole].reshape(-1, size)[order]
    return np.concatenate([pieces.reshape(-1), samples[whole:]])


def strip_frames(rows: Sequence[tuple[str, Motion]], fps: int) -> list[int]:
    """Frames half a second apart, from the first second to the end of the shortest row."""
    last = min(len(motion) for _, motion in rows)
    return list(range(fps, last, round(_STRIP_STEP_S * fps)))[:_STRIP_POSES] or [0]


def _composer(clips: Path, samples: np.ndarray, words: Sequence[TimedWord]) -> Motion:
    """Compose rule-based motion for the sound and its words."""
    speech = Aligner().align(samples, " ".join(word.text for word in words))
    return composed(clips, [Part("sound", speech)])[0].motion
