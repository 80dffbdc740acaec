"""Motion at another frame rate."""

from dataclasses import replace

import numpy as np

from engine.clock import FrameClock
from engine.pose import FloatArray, Motion, PoseChunk
from engine.rotation import slerp
from training.contacts import foot_contacts


def resampled(motion: Motion, frame_rate: int) -> Motion:
    """The motion at `frame_rate` frames a second, from its first frame to its last.

    Rotations turn along the shortest way, everything else runs straight; between whole multiples
    frames are picked and nothing is smoothed, as the published motion vectors were made. Contacts
    are found anew.
    """
    clock = motion.format.clock
    if frame_rate == clock.frame_rate:
        return motion
    count = (len(motion) - 1) * frame_rate // clock.frame_rate + 1
    # In whole numbers, so that a frame that was there before is met exactly.
    places = np.arange(count) * clock.frame_rate
    before = places // frame_rate
    after = np.minimum(before + 1, len(motion) - 1)
    share = (places % frame_rate / frame_rate)[:, None].astype(np.float32)
    poses = motion.poses

    def line(x: FloatArray) -> FloatArray:
        return np.asarray(x[before] * (1 - share) + x[after] * share, np.float32)

    turned = slerp(poses.rotations[before], poses.rotations[after], share[:, None])
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
