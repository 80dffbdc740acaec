"""Values of one window: its input of a stream, and the positions of its frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.generate.schedule import Schedule
from engine.generate.state import SeedRoot


class WindowSlice(NamedTuple):
    """Input of one stream for its next hop.

    Attributes:
        audio: `[n, F]`, audio steps since the stream's last hop.
        words: `[W]` int64, word indices of the frames of the window.
        voiced: whether the voice gate was open, of each new frame; empty for whole files.

    """

    audio: NDArray[np.float32]
    words: NDArray[np.int64]
    voiced: tuple[bool, ...]


class WindowLayout(NamedTuple):
    """Positions in a window.

    Attributes:
        frames: length of the window, frames.
        seed: frames that the network sees.
        new: frames that are kept.
        sampled: newest frames whose codes are sampled.

    """

    frames: int
    seed: slice
    new: slice
    sampled: int


@dataclass(frozen=True)
class WindowSpec:
    """Windows of one model and schedule.

    Attributes:
        schedule: hops and windows.
        clock: frames and samples.
        silence: `[F]`, audio step of silence.
        face_width: coefficients of a face.
        audio_steps: audio steps in a window of so many frames.
        recenter_time_s: time constant of root recentering, seconds; 0 disables it.
        seed_from_identity: the first seed is identity rotations at the origin.
        seed_root: how root channels are fed back.

    """

    schedule: Schedule
    clock: FrameClock
    silence: np.ndarray
    face_width: int
    audio_steps: Callable[[int], int] = int
    recenter_time_s: float = 0.0
    seed_from_identity: bool = False
    seed_root: SeedRoot = SeedRoot.VELOCITY

    @property
    def recenter_share(self) -> float:
        """Share of the distance from the origin that a frame removes."""
        if self.recenter_time_s <= 0:
            return 0.0
        return 1.0 / (self.recenter_time_s * self.clock.frame_rate)

    @property
    def layout(self) -> WindowLayout:
        """The layout of every live window."""
        schedule, new = self.schedule, self.schedule.first_new
        return WindowLayout(
            schedule.window,
            slice(new - schedule.seed, new),
            slice(new, new + schedule.hop),
            schedule.algorithmic_frames,
        )


def window_slices(audio: np.ndarray, words: np.ndarray, hop: int) -> list[WindowSlice]:
    """Input of B streams from arrays: audio `[B, n, F]`, words `[B, W]`, `hop` voiced frames."""
    voiced = (True,) * hop
    return [WindowSlice(*arrays, voiced) for arrays in zip(audio, words, strict=True)]
