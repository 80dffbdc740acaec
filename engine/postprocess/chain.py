"""What is done to poses as they go out, and no network sees: one layer after the other.

What is shown to the network of its past stays its own, as it was trained.
"""

from copy import copy
from dataclasses import dataclass
from typing import Protocol

from engine.motion.face_basis import FaceBasis
from engine.motion.pose import PoseChunk, PoseFormat
from engine.postprocess.blinks import BlinkConfig, Blinks, lids_of
from engine.postprocess.gaze import GlanceConfig, Glances, looks_of
from engine.postprocess.idle_motion import Sway, SwayConfig
from engine.postprocess.one_euro import OneEuroFilter, SteadyConfig
from engine.postprocess.posture import Posture, PostureConfig
from engine.postprocess.stance import Stance, StanceConfig


@dataclass(frozen=True)
class PostProcessConfig:
    """What is laid over poses; nothing unless it is given."""

    steady: SteadyConfig | None = None
    sway: SwayConfig | None = None
    glances: GlanceConfig | None = None
    blinks: BlinkConfig | None = None
    posture: PostureConfig | None = None
    stance: StanceConfig | None = None

    def require_face(self, basis: FaceBasis) -> None:
        """ConfigError for a face that lacks what is to be laid over it."""
        if self.blinks is not None:
            lids_of(basis)
        if self.glances is not None:
            looks_of(basis)


class Layer(Protocol):
    """One of them, of one stream. A shallow copy goes on independently of the original."""

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with it; chunks come in order."""
        ...


class PostProcess:
    """What is asked for, of one stream of poses; chunks come in order.

    seed, speaker: the stream's, the latter by name.
    """

    def __init__(
        self, config: PostProcessConfig, format_: PoseFormat, seed: int, speaker: str = ""
    ) -> None:
        rate, face = format_.clock.frame_rate, format_.face
        # What is steadied and enlarged is the network's alone; lids are over all that eyes do.
        self._layers: list[Layer] = []
        if config.steady is not None:
            self._layers.append(OneEuroFilter(config.steady, rate))
        if config.posture is not None:
            self._layers.append(Posture(config.posture))
        if config.stance is not None:
            self._layers.append(Stance(config.stance, rate))
        if config.sway is not None:
            self._layers.append(Sway(config.sway, seed, rate, speaker))
        if config.glances is not None:
            self._layers.append(Glances(config.glances, seed, face, rate))
        if config.blinks is not None:
            self._layers.append(Blinks(config.blinks.per_minute, seed, face, rate))

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk as it goes out."""
        for layer in self._layers:
            chunk = layer.over(chunk)
        return chunk

    def copy(self) -> "PostProcess":
        """The same, independent of what comes later."""
        result = copy(self)
        result._layers = [copy(layer) for layer in self._layers]
        return result
