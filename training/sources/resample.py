"""Motion at another frame rate: the one place where frames are chosen or made.

Rotations turn along the shortest way, everything else runs straight between the two nearest frames.
Nothing is smoothed before frames are left out, as the published motion vectors were made: what is
faster than half the new rate folds back. README.md says how much that is.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from engine.clock import FrameClock
from engine.motion.pose import FloatArray, Motion, PoseChunk
from engine.motion.rotation import slerp
from training.data.contacts import foot_contacts


class FramePositions(NamedTuple):
    """Where new frames lie between old ones: indices `[N]` and the share `[N]` of the later one."""

    before: Any
    after: Any
    share: Any

    def linear(self, x: Any) -> Any:
        """Values `[T, ...]` at the new frames, straight from one to the next."""
        share = self.share.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return x[self.before] * (1 - share) + x[self.after] * share

    def slerp(self, x: Any) -> Any:
        """Quaternions `[T, ..., 4]` at the new frames, along the shortest way."""
        if not self.share.any():
            return x[self.before]
        share = self.share.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return slerp(x[self.before], x[self.after], share)


def frame_positions(frames: int, old_rate: Fraction | int, new_rate: int) -> FramePositions:
    """The new frames from the first of `frames` old ones to the last.

    In whole numbers, so that a frame that was there before is met exactly.
    """
    step = Fraction(old_rate) / new_rate
    count = int((frames - 1) / step) + 1
    parts = [divmod(i * step.numerator, step.denominator) for i in range(count)]
    before = np.array([whole for whole, _ in parts])
    share = np.array([rest / step.denominator for _, rest in parts])
    return FramePositions(before, np.minimum(before + 1, frames - 1), share)


def resampled(motion: Motion, frame_rate: int) -> Motion:
    """The motion at `frame_rate` frames a second, from its first frame to its last.

    Contacts are found anew.
    """
    clock = motion.format.clock
    if frame_rate == clock.frame_rate:
        return motion
    at = frame_positions(len(motion), clock.frame_rate, frame_rate)
    poses = motion.poses

    def line(x: FloatArray) -> FloatArray:
        return np.asarray(at.linear(x), np.float32)

    turned = at.slerp(poses.rotations)
    chunk = PoseChunk(
        0,
        np.asarray(turned, np.float32),
        line(poses.translation),
        line(poses.contacts),
        line(poses.face),
    )
    fmt = replace(motion.format, clock=FrameClock(clock.sample_rate, frame_rate))
    contacts = foot_contacts(Motion(fmt, chunk).world_positions(), frame_rate)
    return Motion(fmt, replace(chunk, contacts=contacts))


def shortened(motion: Motion, frames: int) -> Motion:
    """The first `frames` frames of a motion."""
    poses = motion.poses
    chunk = PoseChunk(
        poses.first,
        poses.rotations[:frames],
        poses.translation[:frames],
        poses.contacts[:frames],
        poses.face[:frames],
        poses.flags[:frames],
    )
    return replace(motion, poses=chunk)
