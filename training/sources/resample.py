"""Frame-rate conversion of motion: slerp for rotations, linear interpolation otherwise.

No low-pass filter is applied before decimation, as for the published motion vectors, so motion
faster than half the new rate aliases.
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
    """Positions of new frames between old ones.

    Attributes:
        before: index of the old frame before each new one, `[N]`.
        after: index of the old frame after it, `[N]`.
        share: weight of the later frame, `[N]`.

    """

    before: Any
    after: Any
    share: Any

    def linear(self, x: Any) -> Any:
        """Interpolate values `[T, ...]` linearly at the new frames."""
        share = self.share.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return x[self.before] * (1 - share) + x[self.after] * share

    def slerp(self, x: Any) -> Any:
        """Interpolate quaternions `[T, ..., 4]` spherically at the new frames."""
        if not self.share.any():
            return x[self.before]
        share = self.share.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return slerp(x[self.before], x[self.after], share)


def frame_positions(frames: int, old_rate: Fraction | int, new_rate: int) -> FramePositions:
    """Positions of the new frames, from the first of `frames` old ones to the last.

    Computed in integers, so that coinciding frames are exact.
    """
    step = Fraction(old_rate) / new_rate
    count = int((frames - 1) / step) + 1
    parts = [divmod(i * step.numerator, step.denominator) for i in range(count)]
    before = np.array([whole for whole, _ in parts])
    share = np.array([rest / step.denominator for _, rest in parts])
    return FramePositions(before, np.minimum(before + 1, frames - 1), share)


def resampled(motion: Motion, frame_rate: int) -> Motion:
    """Resample a motion to `frame_rate` frames/s and detect contacts again."""
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
    """Truncate a motion to its first `frames` frames."""
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
