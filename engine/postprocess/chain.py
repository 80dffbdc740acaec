"""The post-processing chain: stages that change emitted poses, one after the other.

The poses that are fed back to the network as seeds are not post-processed, as in its training.
"""

from copy import copy
from dataclasses import dataclass
from typing import Protocol

from engine.motion.face_basis import FaceBasis
from engine.motion.pose import PoseChunk, PoseFormat
from engine.postprocess.blinks import BlinkConfig, Blinks, lid_columns
from engine.postprocess.gaze import Gaze, GazeConfig, gaze_columns
from engine.postprocess.idle_motion import IdleConfig, IdleMotion
from engine.postprocess.one_euro import OneEuroConfig, OneEuroFilter
from engine.postprocess.posture import Posture, PostureConfig
from engine.postprocess.stance import Stance, StanceConfig


@dataclass(frozen=True)
class PostProcessConfig:
    """Stages of the chain, in the order in which they are applied.

    Attributes:
        one_euro: smoothing of upper body and hands; null disables it.
        posture: constant rotation offsets of trunk and head; null disables them.
        stance: distance of the feet and height of the hips; null leaves the legs unchanged.
        idle: procedural sway of chest and head, and breathing; null disables them.
        gaze: procedural gaze in place of the network's; null disables it.
        blinks: procedural blinks; null disables them.

    """

    one_euro: OneEuroConfig | None = None
    posture: PostureConfig | None = None
    stance: StanceConfig | None = None
    idle: IdleConfig | None = None
    gaze: GazeConfig | None = None
    blinks: BlinkConfig | None = None

    def require_face(self, basis: FaceBasis) -> None:
        """Raise ConfigError if the face basis lacks coefficients that a stage changes."""
        if self.blinks is not None:
            lid_columns(basis)
        if self.gaze is not None:
            gaze_columns(basis)


class Stage(Protocol):
    """One stage, for one stream. A shallow copy must be independent of the original."""

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Return the changed chunk; chunks must be passed in order."""
        ...


class PostProcess:
    """The chain of one stream. seed, speaker (a name): those of the stream."""

    def __init__(
        self, config: PostProcessConfig, format_: PoseFormat, seed: int, speaker: str = ""
    ) -> None:
        rate, face = format_.clock.frame_rate, format_.face
        # Smoothing first: it must not act on procedural motion. Blinks last: they close any gaze.
        self._stages: list[Stage] = []
        if config.one_euro is not None:
            self._stages.append(OneEuroFilter(config.one_euro, rate))
        if config.posture is not None:
            self._stages.append(Posture(config.posture))
        if config.stance is not None:
            self._stages.append(Stance(config.stance, rate))
        if config.idle is not None:
            self._stages.append(IdleMotion(config.idle, seed, rate, speaker))
        if config.gaze is not None:
            self._stages.append(Gaze(config.gaze, seed, face, rate))
        if config.blinks is not None:
            self._stages.append(Blinks(config.blinks.per_minute, seed, face, rate))

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Apply all stages to a chunk; chunks must be passed in order."""
        for stage in self._stages:
            chunk = stage.apply(chunk)
        return chunk

    def copy(self) -> "PostProcess":
        """Return an independent copy in the same state."""
        result = copy(self)
        result._stages = [copy(stage) for stage in self._stages]
        return result
