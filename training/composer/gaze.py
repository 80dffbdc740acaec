"""Procedural gaze: eye saccades that the head follows in part and later.

Angles in radians: yaw to the figure's left and pitch downwards are positive; 0 is the listener.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from training.composer.minimum_jerk import FPS, Track
from training.composer.style import Style

_EYES_S = 0.07  # duration of a saccade: two frames
_HEAD_SHARE = 0.6
_FARTHEST_EYE = 0.6


@dataclass(frozen=True)
class Gaze:
    """Gaze directions.

    Attributes:
        head: yaw and pitch relative to the body, `[T, 2]`, radians.
        eyes: yaw and pitch relative to the head, `[T, 2]`, radians.

    """

    head: FloatArray
    eyes: FloatArray


def _away(rng: np.random.Generator) -> np.ndarray:
    """Draw a direction beside the listener, more often below than above."""
    yaw = rng.choice([-1.0, 1.0]) * rng.uniform(0.12, 0.5)
    return np.array([yaw, rng.normal(0.04, 0.12)])


def _thoughtful(rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.45), rng.uniform(-0.3, -0.1)])


def _looks(
    seconds: float,
    phrases: Sequence[tuple[float, float]],
    thoughts: Sequence[float],
    style: Style,
    rng: np.random.Generator,
) -> list[tuple[float, np.ndarray]]:
    """Draw gaze shifts in order: away at phrase starts, back at phrase ends, others at random."""
    looks: list[tuple[float, np.ndarray]] = []
    for start, end in phrases:
        if rng.random() < 0.5 * style.away:
            looks.append((start + float(rng.uniform(0.05, 0.3)), _away(rng)))
        if rng.random() < 0.7:
            # Speakers look back at the end of a turn; here after it, without look-ahead.
            looks.append((end + float(rng.uniform(0.05, 0.4)), rng.normal(0, 0.03, 2)))
    looks += [(at + float(rng.uniform(0.1, 0.3)), _thoughtful(rng)) for at in thoughts]
    at = float(rng.uniform(0.2, 1.5))
    while at < seconds:
        away = rng.random() < 0.55 * style.away
        looks.append((at, _away(rng) if away else rng.normal(0, (0.09, 0.04))))
        at += float(rng.uniform(0.5, 1.5) if away else rng.uniform(0.8, 3.2))
    return sorted(looks, key=lambda look: look[0])


def animate_gaze(
    frames: int,
    phrases: Sequence[tuple[float, float]],
    thoughts: Sequence[float],
    style: Style,
    rng: np.random.Generator,
) -> Gaze:
    """Compose the gaze over `frames`.

    phrases: start and end of speech, seconds; thoughts: times of upward looks, seconds.
    """
    point, head = Track(frames, np.zeros(2)), Track(frames, np.zeros(2))
    for at, goal in _looks(frames / FPS, phrases, thoughts, style, rng):
        far = float(np.linalg.norm(goal - point.goal))
        point.move(at, _EYES_S, goal)
        # The head takes part in a gaze shift later, and the less the smaller it is.
        share = _HEAD_SHARE * min(1.0, 0.4 + 2.5 * far) * style.head
        head.move(at + float(rng.uniform(0.03, 0.1)), float(rng.uniform(0.35, 0.6)), share * goal)
    eyes = np.clip(point.values - head.values, -_FARTHEST_EYE, _FARTHEST_EYE)
    return Gaze(head.values, eyes)
