"""Idle response: time from the first syllable to motion, and from the last one to rest.

Hands move once a wrist is faster than MOVING_M_S, and rest once both have been slower than
STILL_M_S for REST_S. Only pauses long enough for idle motion count.
"""

from collections.abc import Sequence

import numpy as np

from bench.metrics.kinematics import Floats, runs
from bench.metrics.strokes import arm_speed
from bench.quality.motion_statistics import LONG_PAUSE_S
from bench.starter import Numbers
from bench.starter.renderings import Scene, with_transcript

MOVING_M_S, STILL_M_S = 0.3, 0.12
REST_S = 0.4
_LONGEST_S = 3.0  # maximum response time
_AFTER_S = 2.0  # time for hands to come to rest
_FROZEN_M_S = 0.004


def idle_numbers(scenes: Sequence[Scene]) -> Numbers:
    """Speeds in speech and late in silence, and response times."""
    known = with_transcript(scenes)
    speeds = [arm_speed(scene.positions, scene.fps) for scene in known]
    speech, silence, begins, ends, frozen = [], [], [], [], 0.0
    for scene, speed in zip(known, speeds, strict=True):
        sample = scene.sample
        long = [p for p in sample.pauses if p[1] - p[0] >= LONG_PAUSE_S]
        deep = [(start + _AFTER_S, end) for start, end in long if end - start > _AFTER_S + 0.3]
        speech.append(speed[sample.talking])
        silence.append(speed[sample.frames_of(deep)])
        begins += [b for _, end in long if (b := _begin(speed, end, scene.fps)) is not None]
        ends += [e for start, end in long if (e := _end(speed, start, end, scene.fps)) is not None]
        frozen = max(frozen, longest_freeze(scene))
    talk, quiet = np.concatenate(speech), np.concatenate(silence)
    result = {"wrists in speech m/s": float(talk.mean()), "longest freeze s": frozen}
    if len(quiet):
        result["wrists deep in silence m/s"] = float(quiet.mean())
        result["silence over speech"] = float(quiet.mean() / max(talk.mean(), 1e-9))
    if begins:
        result["first syllable to motion, median s"] = float(np.median(begins))
    if ends:
        result["last syllable to rest, median s"] = float(np.median(ends))
    return result


def _begin(speed: Floats, at: float, fps: int) -> float | None:
    """Seconds from the end of a silence to hand motion; None if hands moved before."""
    first = int(at * fps)
    if (
        first >= len(speed)
        or (speed[max(0, first - round(REST_S * fps)) : first] > MOVING_M_S).any()
    ):
        return None
    moving = np.flatnonzero(speed[first : first + round(_LONGEST_S * fps)] > MOVING_M_S)
    return float(moving[0] / fps) if len(moving) else _LONGEST_S


def _end(speed: Floats, start: float, end: float, fps: int) -> float | None:
    """Seconds from the beginning of a silence to rest; None for the silence at the start.

    Hands that do not rest before the silence ends count with its length.
    """
    if start <= 0.0:
        return None
    still = speed[int(start * fps) : int(end * fps)] < STILL_M_S
    span = round(REST_S * fps)
    rests = np.flatnonzero(np.convolve(still, np.ones(span), "valid") >= span - 0.5)
    return float(rests[0] / fps) if len(rests) and len(still) >= span else end - start


def longest_freeze(scene: Scene) -> float:
    """Longest time (s) without motion of any upper-body joint; breathing counts as motion."""
    upper = scene.positions[:, :22]
    still = np.linalg.norm(np.diff(upper, axis=0), axis=-1).max(1) * scene.fps < _FROZEN_M_S
    frozen = runs(still)
    return float((frozen[:, 1] - frozen[:, 0]).max() / scene.fps) if len(frozen) else 0.0
