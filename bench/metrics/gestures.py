"""Stroke rates and wrist speeds in speech and in silence, and the frames with speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats
from engine.clock import FrameClock
from engine.text.words import TimedWord

PAUSE_S = 0.25
"""Shorter gaps between words count as speech, seconds."""
_QUIET_DB = 30.0  # below the loud frames of the same sound

Frames = NDArray[np.bool_]


def spoken_frames(words: Sequence[TimedWord], count: int, clock: FrameClock) -> Frames:
    """True `[T]` for frames within a word or a gap between words shorter than PAUSE_S."""
    speaking = np.zeros(count, bool)
    until = -np.inf
    for word in sorted(words, key=lambda word: word.start_s):
        start = until if word.start_s - until < PAUSE_S else word.start_s
        first, last = clock.frame_at_time(start), clock.frame_at_time(word.end_s)
        speaking[max(first, 0) : max(last, first + 1)] = True
        until = max(until, word.end_s)
    return speaking


def loud_frames(sound: NDArray[np.float32], count: int, clock: FrameClock) -> Frames:
    """Frames `[T]` with speech by level: at most 30 dB below the 90th percentile of all frames.

    For takes without words. Pauses shorter than PAUSE_S are closed; sound below -70 dB is silence.
    """
    bounds = [min(clock.first_sample(frame), len(sound)) for frame in range(count + 1)]
    power = [
        np.square(sound[a:b].astype(np.float64)).mean() if b > a else 0.0
        for a, b in pairwise(bounds)
    ]
    level = 10 * np.log10(np.maximum(power, 1e-10))
    wide = round(PAUSE_S * clock.frame_rate)
    loud = np.convolve(level > np.percentile(level, 90) - _QUIET_DB, np.ones(wide), "same") > 0
    return np.asarray(loud & (np.percentile(level, 90) > -70.0))


@dataclass(frozen=True)
class GestureRates:
    """Strokes per minute and mean wrist speed (m/s) in speech and in silence; None without any.

    The durations of both (s) show which rates are over too little time.
    """

    speech_s: float
    silence_s: float
    strokes_per_minute_in_speech: float | None
    strokes_per_minute_in_silence: float | None
    wrist_speed_in_speech: float | None
    wrist_speed_in_silence: float | None


def gesture_rates(strokes: Floats, speed: Floats, speaking: Frames, fps: float) -> GestureRates:
    """Rates from stroke times (s), the faster wrist's speed `[T]` (m/s) and frames with speech."""
    made = np.zeros(len(speed), bool)
    made[np.clip(np.round(strokes * fps), 0, len(speed) - 1).astype(int)] = True
    numbers: list[tuple[float, float | None, float | None]] = []
    for where in (speaking, ~speaking):
        seconds = float(where.sum() / fps)
        rate = 60.0 * float(made[where].sum()) / seconds if seconds else None
        numbers.append((seconds, rate, float(speed[where].mean()) if seconds else None))
    (speech_s, rate, fast), (silence_s, quiet_rate, slow) = numbers
    return GestureRates(speech_s, silence_s, rate, quiet_rate, fast, slow)
