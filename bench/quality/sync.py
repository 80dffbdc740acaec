"""Permutation test of stroke timing: strokes of the arms against stressed vowels.

A stroke is a peak of arm speed (`bench.metrics.strokes`); its distance is the time to the nearest
stressed vowel. The test pairs each motion with the stresses of other utterances: if gestures follow
speech, the true pairing has smaller distances than nearly all shuffled ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats
from bench.metrics.strokes import NEAR_S, nearest, stroke_times

_CLIP_S = 0.6  # larger distances count as this, so that a single far stroke does not decide


@dataclass(frozen=True)
class Utterance:
    """Stroke times and stress times of one utterance, and its duration; seconds."""

    strokes: Floats
    stresses: Floats
    duration: float


@dataclass(frozen=True)
class StrokeReport:
    """Result of the test.

    Attributes:
        strokes: number of strokes.
        stresses: number of stressed vowels.
        distance: median distance from stroke to nearest stress, seconds.
        shuffled_distance: median of these medians over shuffled pairings, seconds.
        lag: median signed distance, seconds; positive if strokes are late.
        near: share of strokes within 150 ms of a stress.
        shuffled_near: mean of this share over shuffled pairings.
        p_value: share of shufflings with a mean clipped distance at most as large as the true one.

    """

    strokes: int
    stresses: int
    distance: float
    shuffled_distance: float
    lag: float
    near: float
    shuffled_near: float
    p_value: float


def _pooled(motions: Sequence[Utterance], speeches: Sequence[Utterance]) -> Floats:
    parts = []
    for motion, speech in zip(motions, speeches, strict=True):
        both = min(motion.duration, speech.duration)
        parts.append(nearest(motion.strokes[motion.strokes < both], speech.stresses))
    return np.concatenate(parts)


def _shuffle(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """A random permutation without fixed points."""
    while True:
        order = generator.permutation(count)
        if count < 2 or not (order == np.arange(count)).any():
            return order


def stroke_test(utterances: Sequence[Utterance], rounds: int = 2000, seed: int = 0) -> StrokeReport:
    """Permutation test over utterances of the mean clipped distance from stroke to stress."""
    generator = np.random.default_rng(seed)
    signed = _pooled(utterances, utterances)
    true = np.abs(signed)
    score = np.minimum(true, _CLIP_S).mean() if len(true) else np.inf
    better, medians, nears = 0, [], []
    for _ in range(rounds):
        order = _shuffle(len(utterances), generator)
        away = np.abs(_pooled(utterances, [utterances[i] for i in order]))
        better += bool(np.minimum(away, _CLIP_S).mean() <= score) if len(away) else 1
        medians.append(np.median(away) if len(away) else np.inf)
        nears.append(float(np.mean(away < NEAR_S)) if len(away) else 0.0)
    finite = signed[np.isfinite(signed) & (np.abs(signed) < _CLIP_S)]
    return StrokeReport(
        strokes=len(true),
        stresses=sum(len(u.stresses) for u in utterances),
        distance=float(np.median(true)) if len(true) else float("inf"),
        shuffled_distance=float(np.median(medians)),
        lag=float(np.median(finite)) if len(finite) else float("nan"),
        near=float(np.mean(true < NEAR_S)) if len(true) else 0.0,
        shuffled_near=float(np.mean(nears)),
        p_value=(1 + better) / (1 + rounds),
    )


@dataclass(frozen=True)
class MuteReport:
    """Mean arm speed (m/s) and strokes per minute, with the speech and with the audio muted."""

    speed: float
    muted_speed: float
    strokes_per_minute: float
    muted_strokes_per_minute: float

    @property
    def ratio(self) -> float:
        """Muted over spoken mean speed; 1: audio has no effect, 0: no motion without audio."""
        return self.muted_speed / max(self.speed, 1e-9)


def mute_report(spoken: Sequence[Floats], muted: Sequence[Floats], fps: float) -> MuteReport:
    """Compare arm speeds `[T]` of the same utterances with and without their audio."""
    rates = []
    for speeds in (spoken, muted):
        count = sum(len(stroke_times(speed, fps)) for speed in speeds)
        rates.append(60.0 * fps * count / max(sum(len(s) for s in speeds), 1))
    loud, quiet = (float(np.concatenate(list(s)).mean()) for s in (spoken, muted))
    return MuteReport(loud, quiet, rates[0], rates[1])
