"""Glances: where one looks while speaking and listening. Eyes jump, the head follows in part.

When one looks away is chance, of which a network that learns a mean keeps a stare. One looks away
rather at the beginning of a phrase, back at its end, and around while nobody speaks. What is drawn
depends on the seed and the frame in which it is drawn alone, and what has happened only on the
voice so far.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.errors import ConfigError
from engine.motion.face_basis import FaceBasis
from engine.motion.pose import FrameFlag, PoseChunk
from engine.postprocess.counter_rng import Purpose, chance
from engine.postprocess.idle_motion import HEAD
from engine.postprocess.joint_offsets import turned

EYE_RADIANS: Final = 0.6
"""How far an eye turns with a coefficient of 1."""
_SIDES: Final = ("Left", "Right")
_LOOKS: Final = tuple(
    f"eyeLook{way}{side}" for way in ("Out", "In", "Down", "Up") for side in _SIDES
)
_JUMP: Final = 0.65  # share of the way that eyes make in a frame: there within two or three
_HEAD_PER_S: Final = 7.0  # the head is a critically damped spring: nearly there after half a second
_HEAD_SHARE: Final = 0.6
_STAYS_S: Final = (0.8, 3.2)
_AWAY_S: Final = (0.5, 1.5)
_CALLED_AFTER_S: Final = (0.05, 0.35)
_BACK: Final = 0.7  # share of phrases at whose end one looks back


@dataclass(frozen=True)
class GlanceConfig:
    """away: share of looks that leave the listener."""

    away: float = 0.3

    def __post_init__(self) -> None:
        require(0.0 <= self.away <= 1.0, "away", "0 to 1", self.away)


def looks_of(basis: FaceBasis) -> list[int]:
    """Where a face has the directions of the eyes; ConfigError for one that lacks any of them."""
    missing = [name for name in _LOOKS if name not in basis.coefficients]
    if missing:
        raise ConfigError(
            f"glances need a face with directions of the eyes, such as arkit51 or arkit52; "
            f"{basis.name} has no {missing[0]}: leave `glances` out"
        )
    return [basis.coefficients.index(name) for name in _LOOKS]


class Glances:
    """The glances of one stream. Raises ConfigError for a face without directions of the eyes.

    seed: of the stream. Directions are yaw to the figure's left and pitch downwards, radians; 0 is
    the listener.
    """

    def __init__(self, config: GlanceConfig, seed: int, basis: FaceBasis, frame_rate: int) -> None:
        self._columns = looks_of(basis)
        self._away, self._seed, self._rate = config.away, seed, frame_rate
        self._goal = self._point = np.zeros(2)
        self._head_goal = self._head = self._head_speed = np.zeros(2)
        self._due = float(chance(seed, Purpose.LOOK, -1).uniform(*_STAYS_S)) * frame_rate
        self._wanted: bool | None = None  # of the look that is due: away, back, or as it comes
        self._voiced = False

    def next(self, frame: int, *, voiced: bool) -> tuple[np.ndarray, np.ndarray]:
        """Where the eyes are against the head `[2]`, and the head against the body `[2]`; one frame
        after the other, from 0 on.
        """
        if voiced != self._voiced:
            self._called(frame, voiced)
        self._voiced = voiced
        if frame >= self._due:
            self._look(frame)
        self._point = self._point + _JUMP * (self._goal - self._point)
        self._follow()
        return np.clip(self._point - self._head, -EYE_RADIANS, EYE_RADIANS), self._head

    def _called(self, frame: int, voiced: bool) -> None:
        """A phrase begins or ends: one looks away, or back, a moment later."""
        rng = chance(self._seed, Purpose.LOOK_CALLED, frame)
        if rng.random() < (self._away if voiced else _BACK):
            self._wanted = voiced
            self._due = frame + float(rng.uniform(*_CALLED_AFTER_S)) * self._rate

    def _look(self, frame: int) -> None:
        """Look somewhere else, and plan for how long."""
        rng = chance(self._seed, Purpose.LOOK, frame)
        away = bool(rng.random() < self._away) if self._wanted is None else self._wanted
        self._wanted = None
        goal = rng.normal(0.0, (0.09, 0.04))
        if away:
            yaw = rng.choice([-1.0, 1.0]) * rng.uniform(0.12, 0.5)
            goal = np.array([yaw, rng.normal(0.04, 0.12)])
        far = float(np.linalg.norm(goal - self._goal))
        # A small jump of the eyes takes the head along in part only.
        self._head_goal = _HEAD_SHARE * min(1.0, 0.4 + 2.5 * far) * goal
        self._goal = goal
        self._due = frame + float(rng.uniform(*(_AWAY_S if away else _STAYS_S))) * self._rate

    def _follow(self) -> None:
        """A frame of the head's spring."""
        span = 1.0 / self._rate
        away = self._head - self._head_goal
        pull = (self._head_speed + _HEAD_PER_S * away) * span
        fading = float(np.exp(-_HEAD_PER_S * span))
        self._head = self._head_goal + (away + pull) * fading
        self._head_speed = (self._head_speed - _HEAD_PER_S * pull) * fading

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with these eyes instead of the network's, and a head that follows them."""
        if not len(chunk):
            return chunk
        flags = enumerate(chunk.flags or (FrameFlag.NONE,) * len(chunk), chunk.first)
        found = [self.next(f, voiced=not flag & FrameFlag.IDLE) for f, flag in flags]
        yaw, down = np.stack([eyes for eyes, _ in found]).T
        head = np.stack([turn for _, turn in found])
        face, rotations = chunk.face.copy(), chunk.rotations.copy()
        ways = (yaw, -yaw, -yaw, yaw, down, down, -down, -down)
        for column, way in zip(self._columns, ways, strict=True):
            face[:, column] = np.clip(way / EYE_RADIANS, 0.0, 1.0)
        vectors = np.stack([head[:, 1], head[:, 0], 0.0 * head[:, 0]], 1)
        turned(rotations, HEAD, 0.5 * vectors[:, None])
        return replace(chunk, face=face, rotations=rotations)
