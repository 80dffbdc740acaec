"""Repairs recorded fingers that jump between frames: some flip by up to 100 degrees."""

import numpy as np
from numpy.typing import NDArray

from engine.motion import rotation as rot

_FPS = 30
JUMP_RAD = float(np.radians(24.0))
"""Maximum rotation of a finger per frame at 30 frames/s, radians: 720 degrees/s."""
_GAP = 10  # frames at 30 frames/s: fingers between two jumps at most this far apart have flipped

FloatArray = NDArray[np.float64]


def jumping_spans(q: FloatArray, gap: int, jump_rad: float = JUMP_RAD) -> list[tuple[int, int]]:
    """Find runs of jumps in `q [T, 4]`: (last good frame before, first good frame after) each.

    Jumps at most `gap` frames apart form one run.
    """
    jumps = np.flatnonzero(rot.angle(q[:-1], q[1:]) > jump_rad)
    spans: list[tuple[int, int]] = []
    for jump in jumps.tolist():
        before, after = max(jump - 1, 0), min(jump + 2, len(q) - 1)
        if spans and before - spans[-1][1] <= gap:
            spans[-1] = (spans[-1][0], after)
        else:
            spans.append((before, after))
    return spans


def repair_fingers(rotations: FloatArray, joints: list[int], frame_rate: int = _FPS) -> FloatArray:
    """Interpolate `joints` of rotations `[T, J, 4]` across their jumps."""
    result = rotations.copy()
    gap, jump = round(_GAP * frame_rate / _FPS), JUMP_RAD * _FPS / frame_rate
    for joint in joints:
        for before, after in jumping_spans(rotations[:, joint], gap, jump):
            share = np.linspace(0.0, 1.0, after - before + 1)[:, None]
            ease = share * share * (3.0 - 2.0 * share)
            ends = result[[before, after], joint]
            result[before : after + 1, joint] = rot.slerp(ends[:1], ends[1:], ease)
    return result
