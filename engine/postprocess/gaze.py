"""Procedural gaze: saccades of the eyes, followed in part by the head.

A regression model averages gaze aversion away. Gaze shifts are random: away more often at the start
of a phrase, back at its end, and in any direction in silence. A draw depends only on seed and
frame, and the state only on the voice activity so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from engine.config.serialize import require
from engine.errors import ConfigError
from engine.motion.face_basis import FaceBasis
from engine.motion.pose import FrameFlag, PoseChunk
from engine.postprocess.counter_rng import RandomStream, counter_rng
from engine.postprocess.idle_motion import HEAD
from engine.postprocess.joint_offsets import rotate_joints

EYE_RADIANS: Final = 0.6
"""Rotation of an eye at a coefficient of 1."""
_COEFFICIENTS: Final = tuple(
    f"eyeLook{way}{side}" for way in ("Out", "In", "Down", "Up") for side in ("Left", "Right")
)
_SACCADE: Final = 0.65  # share of the remaining angle per frame: complete in two or three frames
_HEAD_PER_S: Final = 7.0  # critically damped spring of the head: settles in about half a second
_HEAD_SHARE: Final = 0.6  # of the gaze angle
_FIXATION_S: Final = (0.8, 3.2)  # on the listener
_AVERSION_S: Final = (0.5, 1.5)
_PHRASE_DELAY_S: Final = (0.05, 0.35)
_RETURN_SHARE: Final = 0.7  # of phrase ends at which gaze returns


@dataclass(frozen=True)
class GazeConfig:
    """Procedural gaze.

    Attributes:
        away_share: share of gaze shifts that leave the listener, 0 to 1.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"away": "away_share"}

    away_share: float = 0.3

    def __post_init__(self) -> None:
        require(0.0 <= self.away_share <= 1.0, "away_share", "0 to 1", self.away_share)


def gaze_columns(basis: FaceBasis) -> list[int]:
    """Indices of the eye-direction coefficients; raises ConfigError if the basis lacks one."""
    missing = [name for name in _COEFFICIENTS if name not in basis.coefficients]
    if missing:
        raise ConfigError(
            "gaze needs a face with eye directions, such as arkit51 or arkit52; "
            f"{basis.name} has no {missing[0]}: leave `gaze` out"
        )
    return [basis.coefficients.index(name) for name in _COEFFICIENTS]


class Gaze:
    """Gaze of one stream. Raises ConfigError for a face without eye directions.

    Directions are yaw, positive to the figure's left, and pitch, positive downwards, in radians; 0
    is the listener.

    seed: of the stream. frame_rate: frames/s.
    """

    def __init__(self, config: GazeConfig, seed: int, basis: FaceBasis, frame_rate: int) -> None:
        self._columns = gaze_columns(basis)
        self._away_share, self._seed, self._rate = config.away_share, seed, frame_rate
        self._target = self._direction = np.zeros(2)
        self._head_target = self._head = self._head_speed = np.zeros(2)
        rng = counter_rng(seed, RandomStream.GAZE_SHIFT, -1)
        self._next_shift = float(rng.uniform(*_FIXATION_S)) * frame_rate
        self._next_away: bool | None = None  # set at phrase starts and ends; otherwise random
        self._voiced = False

    def next(self, frame: int, *, voiced: bool) -> tuple[np.ndarray, np.ndarray]:
        """Directions `[2]` of the eyes relative to the head, and of the head relative to the body.

        Frames must be passed in order, from 0.
        """
        if voiced != self._voiced:
            self._plan_at_phrase(frame, voiced)
        self._voiced = voiced
        if frame >= self._next_shift:
            self._shift(frame)
        self._direction = self._direction + _SACCADE * (self._target - self._direction)
        self._move_head()
        eyes = np.clip(self._direction - self._head, -EYE_RADIANS, EYE_RADIANS)
        return eyes, self._head

    def _plan_at_phrase(self, frame: int, voiced: bool) -> None:
        """Plan a shift away at a phrase start, or back at its end, with some probability."""
        rng = counter_rng(self._seed, RandomStream.GAZE_AT_PHRASE, frame)
        if rng.random() < (self._away_share if voiced else _RETURN_SHARE):
            self._next_away = voiced
            self._next_shift = frame + float(rng.uniform(*_PHRASE_DELAY_S)) * self._rate

    def _shift(self, frame: int) -> None:
        """Select a new target and the time of the next shift."""
        rng = counter_rng(self._seed, RandomStream.GAZE_SHIFT, frame)
        away = bool(rng.random() < self._away_share) if self._next_away is None else self._next_away
        self._next_away = None
        target = rng.normal(0.0, (0.09, 0.04))
        if away:
            yaw = rng.choice([-1.0, 1.0]) * rng.uniform(0.12, 0.5)
            target = np.array([yaw, rng.normal(0.04, 0.12)])
        angle = float(np.linalg.norm(target - self._target))
        # The head contributes less to small shifts.
        self._head_target = _HEAD_SHARE * min(1.0, 0.4 + 2.5 * angle) * target
        self._target = target
        duration_s = _AVERSION_S if away else _FIXATION_S
        self._next_shift = frame + float(rng.uniform(*duration_s)) * self._rate

    def _move_head(self) -> None:
        """Advance the head's spring by a frame."""
        span = 1.0 / self._rate
        offset = self._head - self._head_target
        pull = (self._head_speed + _HEAD_PER_S * offset) * span
        decay = float(np.exp(-_HEAD_PER_S * span))
        self._head = self._head_target + (offset + pull) * decay
        self._head_speed = (self._head_speed - _HEAD_PER_S * pull) * decay

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Replace the eye directions and rotate the head; chunks must be passed in order."""
        if not len(chunk):
            return chunk
        flags = enumerate(chunk.flags or (FrameFlag.NONE,) * len(chunk), chunk.first)
        found = [self.next(f, voiced=not flag & FrameFlag.IDLE) for f, flag in flags]
        yaw, pitch = np.stack([eyes for eyes, _ in found]).T
        head = np.stack([direction for _, direction in found])
        face, rotations = chunk.face.copy(), chunk.rotations.copy()
        angles = (yaw, -yaw, -yaw, yaw, pitch, pitch, -pitch, -pitch)  # as in _COEFFICIENTS
        for column, angle in zip(self._columns, angles, strict=True):
            face[:, column] = np.clip(angle / EYE_RADIANS, 0.0, 1.0)
        vectors = np.stack([head[:, 1], head[:, 0], 0.0 * head[:, 0]], 1)
        rotate_joints(rotations, HEAD, 0.5 * vectors[:, None])
        return replace(chunk, face=face, rotations=rotations)
