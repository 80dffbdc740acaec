"""How a body moves while it speaks, in numbers: rates, speeds, holds, spreads, steps, jerk.

All lengths in metres, times in seconds, wrists relative to the pelvis. Judges nothing and knows no
data set; `bench.quality.corpus_comparison` sets two collections side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.quality.sync import stroke_times, wrist_speed
from engine.motion.pose import Motion
from engine.motion.rotation import (
    cross,
    exp,
    forward_kinematics,
    inverse,
    log,
    multiply,
    normalize,
    to_sixd,
)
from engine.motion.skeleton import SMPLX_55
from engine.text.words import TimedWord

FloatArray = NDArray[np.float64]

GROUPS: dict[str, tuple[int, ...]] = {
    "pelvis": (0,),
    "hips": (1, 2),
    "knees": (4, 5),
    "ankles": (7, 8),
    "spine": (3, 6, 9),
    "neck": (12,),
    "head": (15,),
    "collars": (13, 14),
    "shoulders": (16, 17),
    "elbows": (18, 19),
    "wrists": (20, 21),
    "fingers": tuple(range(25, 55)),
}
"""Joints that are summed up together."""

PAUSE_S = 0.3
"""A silence this long between words is a pause."""
LONG_PAUSE_S = 1.2
_STILL_M_S, _HOLD_S = 0.2, 0.2
_STEP_M, _STEP_M_S = 0.05, 0.3
_WRISTS, _ANKLES, _HEAD, _CHEST = (20, 21), (7, 8), 15, 9


@dataclass(frozen=True)
class Sample:
    """A motion and the words that are spoken in it."""

    motion: Motion
    words: tuple[TimedWord, ...]

    @property
    def fps(self) -> int:
        """Frames a second."""
        return self.motion.format.clock.frame_rate

    @cached_property
    def world(self) -> tuple[FloatArray, FloatArray]:
        """World positions `[T, 55, 3]` and rotations `[T, 55, 4]`."""
        poses = self.motion.poses
        positions, rotations = forward_kinematics(
            SMPLX_55.parents, SMPLX_55.offsets, poses.rotations, poses.translation
        )
        return positions.astype(np.float64), rotations.astype(np.float64)

    @cached_property
    def wrists(self) -> FloatArray:
        """Both wrists relative to the pelvis `[T, 2, 3]`."""
        positions = self.world[0]
        return positions[:, list(_WRISTS)] - positions[:, :1]

    @cached_property
    def wrist_speeds(self) -> FloatArray:
        """Speed of each wrist `[T, 2]`, m/s; the first frame repeats the second."""
        steps = np.linalg.norm(np.diff(self.wrists, axis=0), axis=-1) * self.fps
        return np.concatenate([steps[:1], steps])

    @cached_property
    def pauses(self) -> list[tuple[float, float]]:
        """Silences between words of at least PAUSE_S, and before and after all words."""
        starts = [w.start_s for w in self.words] + [len(self.motion) / self.fps]
        ends = [0.0, *np.maximum.accumulate([w.end_s for w in self.words])]
        return [(e, s) for e, s in zip(ends, starts, strict=True) if s - e >= PAUSE_S]

    def frames_of(self, spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        """Which frames `[T]` lie in spans of seconds."""
        mask = np.zeros(len(self.motion), bool)
        for start, end in spans:
            mask[int(start * self.fps) : int(end * self.fps)] = True
        return mask

    @cached_property
    def talking(self) -> NDArray[np.bool_]:
        """Frames outside of long pauses."""
        return ~self.frames_of([p for p in self.pauses if p[1] - p[0] >= LONG_PAUSE_S])

    @cached_property
    def briefly_silent(self) -> NDArray[np.bool_]:
        """Frames in pauses that are not long."""
        return self.frames_of([p for p in self.pauses if p[1] - p[0] < LONG_PAUSE_S])


def _spells(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last + 1 `[N, 2]` of each run of true frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return edges.reshape(-1, 2)


def strokes_in_speech(sample: Sample) -> int:
    """Peaks of wrist speed while the figure talks."""
    speed = wrist_speed(sample.world[0].astype(np.float32), sample.fps)
    frames = (stroke_times(speed, sample.fps) * sample.fps).astype(int)
    return int(sample.talking[np.clip(frames, 0, len(speed) - 1)].sum())


def holds(sample: Sample) -> FloatArray:
    """Seconds of each hold: a hand above the hips that hardly moves, while the figure talks."""
    found = []
    for hand in range(2):
        still = (sample.wrist_speeds[:, hand] < _STILL_M_S) & (sample.wrists[:, hand, 1] > 0)
        spells = _spells(still & sample.talking)
        found.append((spells[:, 1] - spells[:, 0]) / sample.fps)
    lengths = np.concatenate(found)
    return lengths[lengths >= _HOLD_S]


def steps(sample: Sample) -> int:
    """How often a foot is put down somewhere else, in speech."""
    count = 0
    for joint in _ANKLES:
        path = sample.world[0][:, joint][:, [0, 2]]
        speed = np.linalg.norm(np.diff(path, axis=0), axis=-1) * sample.fps
        moving = _spells(np.concatenate([[False], speed > _STEP_M_S]) & sample.talking)
        count += sum(bool(np.linalg.norm(path[b - 1] - path[a - 1]) > _STEP_M) for a, b in moving)
    return count


def weight_shifts(sample: Sample) -> int:
    """How often the hips go from over one foot to over the other, in speech."""
    positions = sample.world[0]
    left, right = (positions[:, j][:, [0, 2]] for j in _ANKLES)
    axis = right - left
    along = ((positions[:, 0][:, [0, 2]] - left) * axis).sum(-1) / (axis**2).sum(-1)
    side = np.where(along < 0.42, -1, np.where(along > 0.58, 1, 0))
    side = side[(side != 0) & sample.talking]
    return int((np.diff(side) != 0).sum())


def angular_speed(sample: Sample, joint: int, world: bool = False) -> FloatArray:
    """Degrees a second of a joint in speech, relative to its parent or to the world."""
    q = sample.world[1][:, joint] if world else sample.motion.poses.rotations[:, joint]
    turns = log(multiply(inverse(q[:-1].astype(np.float64)), q[1:].astype(np.float64)))
    return np.asarray(np.rad2deg(np.linalg.norm(turns, axis=-1)) * sample.fps)[sample.talking[1:]]


def jerk(sample: Sample, joints: Sequence[int]) -> float:
    """Mean third derivative of positions relative to the pelvis, m/s^3."""
    points = sample.world[0][:, list(joints)] - sample.world[0][:, :1]
    third = np.linalg.norm(np.diff(points, n=3, axis=0), axis=-1)[sample.talking[3:]]
    return float(third.mean() * sample.fps**3) if len(third) else 0.0


def _angles(sample: Sample, joint: int) -> FloatArray:
    """Pitch and roll against the world, yaw against the feet `[T, 3]` of a joint, degrees."""
    positions, rotations = sample.world
    across = positions[:, 1] - positions[:, 2]
    across[:, 1] = 0
    forward = cross(normalize(across), np.broadcast_to([0.0, 1.0, 0.0], across.shape))
    heading = np.arctan2(forward[:, 0], forward[:, 2])
    turned = np.zeros((len(heading), 3))
    turned[:, 1] = -heading
    return np.asarray(np.rad2deg(log(multiply(exp(turned), rotations[:, joint]))))


def sway(sample: Sample) -> FloatArray:
    """Horizontal speed of the pelvis in speech, m/s."""
    steps = np.linalg.norm(np.diff(sample.world[0][:, 0][:, [0, 2]], axis=0), axis=-1)
    return steps[sample.talking[1:]] * sample.fps


def skate(sample: Sample) -> FloatArray:
    """Horizontal speed of feet in contact, m/s."""
    feet = sample.world[0][:, [7, 8, 10, 11]][..., [0, 2]]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * sample.fps
    return speed[sample.motion.poses.contacts[:-1] > 0.5]


def spread(samples: Sequence[Sample]) -> FloatArray:
    """Standard deviation of each joint's rotation `[55]` in speech: of its 6D numbers, a length."""
    joined = np.concatenate([s.motion.poses.rotations[s.talking] for s in samples])
    return np.sqrt(np.square(to_sixd(joined.astype(np.float64)).std(0)).sum(-1))


def _pooled(samples: Sequence[Sample], values: Callable[[Sample], FloatArray]) -> FloatArray:
    return np.concatenate([values(sample) for sample in samples])


def measures(samples: Sequence[Sample]) -> dict[str, float]:
    """All numbers of a collection, by name with unit."""
    talking = sum(float(s.talking.sum()) / s.fps for s in samples) / 60
    speed = _pooled(samples, lambda s: s.wrist_speeds[s.talking].mean(1))
    brief = _pooled(samples, lambda s: s.wrist_speeds[s.briefly_silent].mean(1))
    height = _pooled(samples, lambda s: s.wrists[s.talking][..., 1].reshape(-1))
    held = _pooled(samples, holds)
    head = _pooled(samples, lambda s: _angles(s, _HEAD)[s.talking])
    chest = _pooled(samples, lambda s: _angles(s, _CHEST)[s.talking])
    apart = _pooled(samples, lambda s: s.wrist_speeds[s.talking])
    result = {
        "strokes in speech, 1/min": sum(map(strokes_in_speech, samples)) / talking,
        "wrist speed in speech, m/s": float(speed.mean()),
        "wrist speed, median": float(np.median(speed)),
        "wrist speed, 90th percentile": float(np.percentile(speed, 90)),
        "wrist speed in short pauses": float(brief.mean()) if len(brief) else float("nan"),
        "slower over faster hand": float(np.minimum(*apart.T).mean() / np.maximum(*apart.T).mean()),
        "hold, mean s": float(held.mean()) if len(held) else 0.0,
        "held share of a hand's time": float(held.sum() / (120 * talking)),
        "wrist above the hips, share": float((height > 0).mean()),
        "wrist height, spread m": float(height.std()),
        "hips, m/s": float(_pooled(samples, sway).mean()),
        "steps, 1/min": sum(map(steps, samples)) / talking,
        "weight shifts, 1/min": sum(map(weight_shifts, samples)) / talking,
        "foot in contact, m/s": float(_pooled(samples, skate).mean()),
    }
    for name, angles in (("head", head), ("chest", chest)):
        for i, way in enumerate(("pitch", "yaw", "roll")):
            result[f"{name} {way}, spread deg"] = float(angles[:, i].std())
    for name, joints in (("wrist", _WRISTS), ("head", (_HEAD,)), ("body", range(22))):
        result[f"jerk of {name}, m/s3"] = float(np.mean([jerk(s, joints) for s in samples]))
    for name, members in GROUPS.items():
        turning = [angular_speed(s, j).mean() for s in samples for j in members]
        result[f"{name}, deg/s"] = float(np.mean(turning))
    widths = spread(samples)
    for name, members in GROUPS.items():
        result[f"{name}, rotation spread"] = float(widths[list(members)].mean())
    return result
