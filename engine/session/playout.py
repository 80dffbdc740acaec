"""Playout buffer and frame-rate conversion. Pure logic, no clock.

A frame that is not ready when due is replaced by the last pose (marked HELD, counted late); after
0.3 s the pose eases into standing at rest. Frames are interpolated to another output rate.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from engine.clock import FrameClock
from engine.motion import rotation
from engine.motion.pose import FrameFlag, PoseFrame

_HOLD_S = 0.3  # a missing pose is held this long before it eases towards rest
_EASE_HALF_LIFE_S = 0.25


def blend(a: PoseFrame, b: PoseFrame, t: float) -> PoseFrame:
    """Frame `a` moved by the fraction `t` towards `b`; index, sample and flags are a's."""
    mix = np.float32(t)
    return replace(
        a,
        rotations=np.asarray(rotation.slerp(a.rotations, b.rotations, mix), np.float32),
        translation=a.translation + (b.translation - a.translation) * mix,
        contacts=a.contacts + (b.contacts - a.contacts) * mix,
        face=a.face + (b.face - a.face) * mix,
    )


class FrameInterpolator:
    """Converts model frames to output frames; an output frame needs the model frame after it."""

    def __init__(self, source: FrameClock, output: FrameClock) -> None:
        self._source = source
        self._output = output
        self._next = 0
        self._last: PoseFrame | None = None

    @property
    def delay_frames(self) -> int:
        """Model frames after its own time that an output frame may need."""
        return 0 if self._output.frame_rate == self._source.frame_rate else 1

    def total(self, frames: int) -> int:
        """Number of output frames for `frames` model frames."""
        if frames < 1 or not self.delay_frames:
            return max(0, frames)
        return (frames - 1) * self._output.frame_rate // self._source.frame_rate + 1

    def feed(self, frame: PoseFrame) -> list[PoseFrame]:
        """Output frames after the previous model frame, up to this one."""
        if not self.delay_frames:
            return [frame]
        ready = []
        while self._position_of(self._next) <= frame.index:
            ready.append(self._at(self._position_of(self._next), frame))
            self._next += 1
        self._last = frame
        return ready

    def _position_of(self, output: int) -> float:
        return output * self._source.frame_rate / self._output.frame_rate

    def _at(self, position: float, frame: PoseFrame) -> PoseFrame:
        before = self._last or frame
        span = frame.index - before.index
        t = (position - before.index) / span if span > 0 else 1.0
        between = frame if t >= 1.0 else blend(before, frame, max(0.0, t))
        return replace(
            between,
            index=self._next,
            sample=self._output.first_sample(self._next),
            flags=frame.flags,
        )


@dataclass(frozen=True)
class ScheduledFrame:
    """A frame to send now. late: it was not ready, and this is its concealment frame."""

    frame: PoseFrame
    late: bool


class PlayoutBuffer:
    """Frames until they are due. One thread puts, one takes; the caller locks."""

    def __init__(self, rest: PoseFrame, clock: FrameClock) -> None:
        self._clock = clock
        self._ready: deque[PoseFrame] = deque()
        self._next = 0
        self._last = rest
        self._rest = rest
        self._held = 0

    @property
    def next_index(self) -> int:
        """Index of the next frame."""
        return self._next

    @property
    def waiting(self) -> int:
        """Frames that are ready and not due yet."""
        return len(self._ready)

    def put(self, frame: PoseFrame) -> None:
        """Add a frame; dropped if its concealment frame was already sent."""
        if frame.index >= self._next:
            self._ready.append(frame)

    def skip(self, frames: int) -> None:
        """Skip frames whose time has long passed."""
        self._next += frames

    def take(self) -> ScheduledFrame:
        """The next frame, or its concealment frame."""
        index = self._next
        self._next += 1
        while self._ready and self._ready[0].index < index:
            self._ready.popleft()
        if self._ready and self._ready[0].index == index:
            self._last = self._ready.popleft()
            self._held = 0
            return ScheduledFrame(self._last, late=False)
        self._held += 1
        self._last = self._concealment_frame(index)
        return ScheduledFrame(self._last, late=True)

    def _concealment_frame(self, index: int) -> PoseFrame:
        rate = self._clock.frame_rate
        pose = self._last
        if self._held > _HOLD_S * rate:
            step = 1.0 - 0.5 ** (1.0 / (_EASE_HALF_LIFE_S * rate))
            rest = replace(self._rest, translation=self._standing())
            pose = blend(pose, rest, step)
        return replace(
            pose,
            index=index,
            sample=self._clock.first_sample(index),
            flags=pose.flags | FrameFlag.HELD,
        )

    def _standing(self) -> np.ndarray:
        """The current ground position at the height of rest."""
        x, _, z = self._last.translation
        return np.array([x, self._rest.translation[1], z], np.float32)
