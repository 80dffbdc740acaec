"""Do the hands beat with the speech? Strokes of the wrists against the times of stressed words.

A stroke is a peak of wrist speed. Its distance is the time to the nearest stressed vowel. The test
pairs each motion with the stresses of other utterances: where gestures follow speech, the true
pairing has smaller distances than nearly all shuffled ones. Times in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.motion.skeleton import SMPLX_55

FloatArray = NDArray[np.float64]

STROKE_SPEED = 0.5
"""A stroke's peak is at least this fast (m/s): slower is drift, retraction and idling."""
_SPACING_S = 0.25
_CLIP_S = 0.6  # farther is no worse: one lonely stroke shall not decide
_WRISTS = tuple(SMPLX_55.index(f"{side}_wrist") for side in ("left", "right"))
_SHOULDERS = tuple(SMPLX_55.index(f"{side}_shoulder") for side in ("left", "right"))


def wrist_speed(positions: NDArray[np.float32], fps: float) -> FloatArray:
    """Speed `[T]` in m/s of the faster wrist relative to the pelvis, positions `[T, J, 3]`.

    Frame t holds the way from t - 1 to t; frame 0 is 0.
    """
    return _faster(positions[:, list(_WRISTS)] - positions[:, :1], fps)


def arm_speed(positions: NDArray[Any], fps: float) -> FloatArray:
    """The same with each wrist relative to its own shoulder: what turns of the trunk do not do."""
    return _faster(positions[:, list(_WRISTS)] - positions[:, list(_SHOULDERS)], fps)


def _faster(wrists: NDArray[Any], fps: float) -> FloatArray:
    steps = np.linalg.norm(np.diff(wrists.astype(np.float64), axis=0), axis=-1).max(-1)
    return np.concatenate([[0.0], steps * fps])


def stroke_times(speed: FloatArray, fps: float, floor: float = STROKE_SPEED) -> FloatArray:
    """Times of the peaks of `speed` `[T]` of at least `floor`, the faster of near ones."""
    smooth = np.convolve(np.pad(speed, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    inner = smooth[1:-1]
    peaks = 1 + np.flatnonzero((inner >= smooth[:-2]) & (inner > smooth[2:]) & (inner >= floor))
    kept: list[int] = []
    for peak in sorted(peaks, key=lambda p: -smooth[p]):
        if all(abs(peak - other) >= _SPACING_S * fps for other in kept):
            kept.append(int(peak))
    # The way to frame t is made, on average, half a frame before it.
    return (np.array(sorted(kept), float) - 0.5) / fps


def nearest(strokes: FloatArray, stresses: FloatArray) -> FloatArray:
    """Distance from each stroke to the nearest stress: positive when the stroke is later."""
    if not len(stresses) or not len(strokes):
        return np.full(len(strokes), np.inf)
    away = strokes[:, None] - stresses[None, :]
    return away[np.arange(len(strokes)), np.abs(away).argmin(1)]


@dataclass(frozen=True)
class Utterance:
    """One motion and its speech: stroke times, stress times, seconds."""

    strokes: FloatArray
    stresses: FloatArray
    duration: float


@dataclass(frozen=True)
class StrokeReport:
    """What the test found. distances are medians in seconds; lag is signed (positive = later)."""

    strokes: int
    stresses: int
    distance: float
    shuffled_distance: float
    lag: float
    near: float
    shuffled_near: float
    p_value: float


def _pooled(motions: Sequence[Utterance], speeches: Sequence[Utterance]) -> FloatArray:
    parts = []
    for motion, speech in zip(motions, speeches, strict=True):
        both = min(motion.duration, speech.duration)
        parts.append(nearest(motion.strokes[motion.strokes < both], speech.stresses))
    return np.concatenate(parts)


def _shuffle(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """A random permutation that leaves nobody in place."""
    while True:
        order = generator.permutation(count)
        if count < 2 or not (order == np.arange(count)).any():
            return order


def stroke_test(utterances: Sequence[Utterance], rounds: int = 2000, seed: int = 0) -> StrokeReport:
    """Permutation test over utterances of the mean (clipped) distance from stroke to stress."""
    generator = np.random.default_rng(seed)
    true = np.abs(_pooled(utterances, utterances))
    signed = _pooled(utterances, utterances)
    score = np.minimum(true, _CLIP_S).mean() if len(true) else np.inf
    better, medians, nears = 0, [], []
    for _ in range(rounds):
        order = _shuffle(len(utterances), generator)
        away = np.abs(_pooled(utterances, [utterances[i] for i in order]))
        better += bool(np.minimum(away, _CLIP_S).mean() <= score) if len(away) else 1
        medians.append(np.median(away) if len(away) else np.inf)
        nears.append(float(np.mean(away < 0.15)) if len(away) else 0.0)
    finite = signed[np.isfinite(signed) & (np.abs(signed) < _CLIP_S)]
    return StrokeReport(
        strokes=len(true),
        stresses=sum(len(u.stresses) for u in utterances),
        distance=float(np.median(true)) if len(true) else float("inf"),
        shuffled_distance=float(np.median(medians)),
        lag=float(np.median(finite)) if len(finite) else float("nan"),
        near=float(np.mean(true < 0.15)) if len(true) else 0.0,
        shuffled_near=float(np.mean(nears)),
        p_value=(1 + better) / (1 + rounds),
    )


@dataclass(frozen=True)
class MuteReport:
    """Mean wrist speed (m/s) and strokes a minute, with the speech and with the sound muted."""

    speed: float
    muted_speed: float
    strokes_per_minute: float
    muted_strokes_per_minute: float

    @property
    def ratio(self) -> float:
        """Muted over spoken mean speed: 1 = the sound does not matter, 0 = it is everything."""
        return self.muted_speed / max(self.speed, 1e-9)


def mute_report(
    spoken: Sequence[FloatArray], muted: Sequence[FloatArray], fps: float
) -> MuteReport:
    """Compare wrist speeds `[T]` of the same utterances with and without their sound."""
    rates = []
    for speeds in (spoken, muted):
        count = sum(len(stroke_times(speed, fps)) for speed in speeds)
        rates.append(60.0 * fps * count / max(sum(len(s) for s in speeds), 1))
    loud, quiet = (float(np.concatenate(list(s)).mean()) for s in (spoken, muted))
    return MuteReport(loud, quiet, rates[0], rates[1])
