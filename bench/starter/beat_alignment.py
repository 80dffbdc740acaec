"""Beat alignment: strokes near stressed words, and beat constancy.

Chance level: the same motion with the speech's times shifted cyclically within each part. Rates,
pauses and all else are equal; only the pairing is lost.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics.beats import BEAT_JOINTS, CUT_FRAMES, gesture_beats, nearness_over_joints
from bench.metrics.kinematics import Floats, positions_at_origin, speeds
from bench.metrics.onsets import onset_times
from bench.metrics.strokes import NEAR_S, arm_speed, nearest, stroke_times
from bench.starter import Numbers
from bench.starter.renderings import Scene, with_transcript

_MIN_SHIFT_S = 2.0
_GRID_S = 0.01


def rhythm(scenes: Sequence[Scene], means: Floats | None = None, rounds: int = 2000) -> Numbers:
    """Stroke numbers over scenes with words, and beat constancy over all scenes.

    means: mean speeds `[55]` (m/s) of a data set's joints; the motion's own by default.
    """
    return {
        **stroke_numbers(with_transcript(scenes), rounds),
        **beat_numbers(scenes, means, rounds),
    }


def random_shifts(seconds: float, rounds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random shifts `[rounds]` (s) of a part of `seconds`, not too close to 0."""
    least = min(_MIN_SHIFT_S, 0.25 * seconds)
    return rng.uniform(least, seconds - least, rounds)


def stroke_numbers(scenes: Sequence[Scene], rounds: int, seed: int = 0) -> Numbers:
    """Shares of strokes near a stress and of stresses near a stroke, and over chance level."""
    rng = np.random.default_rng(seed)
    pairs, seconds = [], 0.0
    for scene in scenes:
        strokes = stroke_times(arm_speed(scene.positions, scene.fps), scene.fps)
        stresses = np.array([stress.time for stress in scene.part.stresses])
        pairs.append((strokes, stresses, scene.seconds))
        seconds += scene.seconds
    true = _shares([(a, b) for a, b, _ in pairs])
    moved = [random_shifts(length, rounds, rng) for *_, length in pairs]
    chance = np.array(
        [
            _shares([(a, (b + by[i]) % n) for (a, b, n), by in zip(pairs, moved, strict=True)])
            for i in range(rounds)
        ]
    )
    names = ("strokes near a stress", "stresses near a stroke")
    result: Numbers = {"strokes a minute": 60 * sum(len(a) for a, *_ in pairs) / max(seconds, 1e-9)}
    for i, name in enumerate(names):
        usual = float(chance[:, i].mean())
        result[name] = true[i]
        result[f"{name}, by chance"] = usual
        result[f"{name}, over chance"] = true[i] / max(usual, 1e-9)
        result[f"{name}, p"] = float((1 + (chance[:, i] >= true[i]).sum()) / (1 + rounds))
    away = np.concatenate([nearest(a, b) for a, b, _ in pairs])
    close = away[np.abs(away) < 2 * NEAR_S]
    result["stroke after stress, median s"] = float(np.median(close)) if len(close) else 0.0
    return result


def _shares(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
    """Share of strokes near a stress, and of stresses near a stroke, over all parts."""
    found = []
    for first, second in ((0, 1), (1, 0)):
        near = [np.abs(nearest(pair[first], pair[second])) < NEAR_S for pair in pairs]
        every = np.concatenate([np.zeros(0, bool), *near])
        found.append(float(every.mean()) if len(every) else 0.0)
    return found[0], found[1]


def beat_numbers(
    scenes: Sequence[Scene], means: Floats | None, rounds: int, seed: int = 0
) -> Numbers:
    """BC of the authors' code with the corrected index, over the onsets of all scenes together.

    Shifts are multiples of 10 ms: closeness to beats is tabulated on that grid.
    """
    rng = np.random.default_rng(seed)
    true: list[Floats] = []
    turned: list[Floats] = []
    for scene in scenes:
        curve, onsets = _curve(scene, means)
        if len(onsets):
            at = np.round(onsets / _GRID_S).astype(int)
            by = np.round(random_shifts(len(curve) * _GRID_S, rounds, rng) / _GRID_S).astype(int)
            true.append(curve[at % len(curve)])
            turned.append(np.stack([curve[(at + b) % len(curve)] for b in by]))
    if not true:
        return {}
    value = float(np.concatenate(true).mean())
    others = np.concatenate(turned, axis=1).mean(1)
    p = float((1 + (others >= value).sum()) / (1 + rounds))
    return {"BC": value, "BC, audio shifted": float(others.mean()), "BC, p": p}


def _curve(scene: Scene, means: Floats | None) -> tuple[Floats, Floats]:
    """Closeness to beats every 10 ms after the cut, and the onsets."""
    moving = speeds(positions_at_origin(scene.motion), scene.fps)[:, list(BEAT_JOINTS)]
    usual = np.maximum(moving.mean(0), 1e-6) if means is None else means[list(BEAT_JOINTS)]
    beats = gesture_beats(moving / usual, scene.fps)
    frames, clock = len(scene.motion), scene.motion.format.clock
    grid = np.arange(0.0, max(frames - 2 * CUT_FRAMES, 0) / scene.fps, _GRID_S)
    if not len(grid):
        return np.zeros(0), np.zeros(0)
    return nearness_over_joints(beats, grid), onset_times(scene.part.speech.samples, frames, clock)
