"""Where somebody looks while speaking and listening: eyes jump, the head follows part of the way.

Angles in radians: yaw to the figure's left, pitch downwards, both positive; 0 is the listener.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from training.composer.minimum_jerk import FPS, Track
from training.composer.style import Style

_EYES_S = 0.07  # an eye is there within two frames
_HEAD_SHARE = 0.6
_FARTHEST_EYE = 0.6


@dataclass(frozen=True)
class Gaze:
    """head `[T, 2]`: yaw and pitch against the body; eyes `[T, 2]`: against the head."""

    head: FloatArray
    eyes: FloatArray


def _away(rng: np.random.Generator) -> np.ndarray:
    """Somewhere beside the listener, rather down than up."""
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
    """Times and goals in order: away when a phrase begins, back when it ends, now and then else."""
    looks: list[tuple[float, np.ndarray]] = []
    for start, end in phrases:
        if rng.random() < 0.5 * style.away:
            looks.append((start + float(rng.uniform(0.05, 0.3)), _away(rng)))
        if rng.random() < 0.7:
            # Who ends a turn looks at the other; a live model hears the end only when it is over.
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
    """Gaze over `frames`; phrases: start and end (s) of speech; thoughts: seconds of a memory."""
    point, head = Track(frames, np.zeros(2)), Track(frames, np.zeros(2))
    for at, goal in _looks(frames / FPS, phrases, thoughts, style, rng):
        far = float(np.linalg.norm(goal - point.goal))
        point.move(at, _EYES_S, goal)
        # The head makes small jumps of the gaze only in part, and later.
        share = _HEAD_SHARE * min(1.0, 0.4 + 2.5 * far) * style.head
        head.move(at + float(rng.uniform(0.03, 0.1)), float(rng.uniform(0.35, 0.6)), share * goal)
    eyes = np.clip(point.values - head.values, -_FARTHEST_EYE, _FARTHEST_EYE)
    return Gaze(head.values, eyes)
