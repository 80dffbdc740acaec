"""Repair of recorded fingers that jump from one frame to the next.

A few clips hold fingers that flip by up to 100 degrees for some frames. Knows rotations only.
"""

import numpy as np
from numpy.typing import NDArray

from engine.motion import rotation as rot

_FPS = 30
JUMP_RAD = float(np.radians(24.0))
"""No finger turns faster in a frame of 30 a second: 720 degrees a second."""
_GAP = 10  # frames of 30 a second: what lies between two jumps nearer than this has flipped

FloatArray = NDArray[np.float64]


def jumping_spans(q: FloatArray, gap: int, jump_rad: float = JUMP_RAD) -> list[tuple[int, int]]:
    """(last good frame before, first good frame after) each run of jumps of `q [T, 4]`.

    Jumps at most `gap` frames apart are one run: what lies between has flipped.
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
    """Rotations `[T, J, 4]` in which `joints` glide across their jumps instead."""
    result = rotations.copy()
    gap, jump = round(_GAP * frame_rate / _FPS), JUMP_RAD * _FPS / frame_rate
    for joint in joints:
        for before, after in jumping_spans(rotations[:, joint], gap, jump):
            share = np.linspace(0.0, 1.0, after - before + 1)[:, None]
            ease = share * share * (3.0 - 2.0 * share)
            ends = result[[before, after], joint]
            result[before : after + 1, joint] = rot.slerp(ends[:1], ends[1:], ease)
    return result
