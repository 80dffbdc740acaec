"""What is done to poses as they go out, and no network sees: steadying, blinks.

What is shown to the network of its past stays its own, as it was trained.
"""

from copy import copy

from engine.blinks import Blinks
from engine.bundle import BundleConfig
from engine.pose import PoseChunk
from engine.steadying import Steadier


class Finish:
    """What a bundle asks for, of one stream; chunks come in order. seed: the stream's."""

    def __init__(self, config: BundleConfig, seed: int) -> None:
        rate = config.clock.frame_rate
        self._steadier = None if config.steady is None else Steadier(config.steady, rate)
        self._blinks = None
        if config.blinks is not None:
            face = config.pose_format.face
            self._blinks = Blinks(config.blinks.per_minute, seed, face, rate)

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk as it goes out."""
        steady = chunk if self._steadier is None else self._steadier.over(chunk)
        return steady if self._blinks is None else self._blinks.over(steady)

    def copy(self) -> "Finish":
        """The same, independent of what comes later."""
        result = copy(self)
        result._steadier, result._blinks = copy(self._steadier), copy(self._blinks)
        return result
