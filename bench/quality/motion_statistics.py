"""Statistics of body motion in speech: rates, speeds, holds, spreads, steps, jerk.

Lengths in metres, times in seconds, wrists relative to the pelvis. Used by
`bench.quality.corpus_comparison` and `bench.starter`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.metrics.feet import planted_speeds, steps
from bench.metrics.kinematics import WRISTS, Floats, runs
from bench.metrics.posture import angles, rotation_spread, weight_shifts
from bench.metrics.smoothness import mean_jerk
from bench.metrics.strokes import arm_speed, stroke_times
from engine.motion.pose import Motion
from engine.motion.rotation import forward_kinematics, inverse, log, multiply
from engine.motion.skeleton import SMPLX_55
from engine.text.words import TimedWord

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
"""Joints of each row."""

PAUSE_S = 0.3
"""Minimum length of a pause between words."""
LONG_PAUSE_S = 1.2
"""Minimum length of a pause that counts as silence."""
_STILL_M_S, _HOLD_S = 0.2, 0.2
_HEAD, _CHEST = 15, 9


@dataclass(frozen=True)
class Sample:
    """A motion and the words that are spoken in it."""

    motion: Motion
    words: tuple[TimedWord, ...]

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self.motion.format.clock.frame_rate

    @cached_property
    def world(self) -> tuple[Floats, Floats]:
        """World positions `[T, 55, 3]` and rotations `[T, 55, 4]`."""
        poses = self.motion.poses
        positions, rotations = forward_kinematics(
            SMPLX_55.parents, SMPLX_55.offsets, poses.rotations, poses.translation
        )
        return positions.astype(np.float64), rotations.astype(np.float64)

    @property
    def positions(self) -> Floats:
        """World positions `[T, 55, 3]` in metres."""
        return self.world[0]

    @cached_property
    def wrists(self) -> Floats:
        """Both wrists relative to the pelvis `[T, 2, 3]`."""
        return self.positions[:, WRISTS] - self.positions[:, :1]

    @cached_property
    def wrist_speeds(self) -> Floats:
        """Speed of each wrist `[T, 2]`, m/s; the first frame repeats the second."""
        speeds = np.linalg.norm(np.diff(self.wrists, axis=0), axis=-1) * self.fps
        return np.concatenate([speeds[:1], speeds])

    @cached_property
    def pauses(self) -> list[tuple[float, float]]:
        """Start and end (s) of pauses of at least PAUSE_S: between, before and after words."""
        starts = [w.start_s for w in self.words] + [len(self.motion) / self.fps]
        ends = [0.0, *np.maximum.accumulate([w.end_s for w in self.words])]
        return [(e, s) for e, s in zip(ends, starts, strict=True) if s - e >= PAUSE_S]

    def frames_of(self, spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        """True `[T]` for frames within spans of seconds."""
        mask = np.zeros(len(self.motion), bool)
        for start, end in spans:
            mask[int(start * self.fps) : int(end * self.fps)] = True
        return mask

    @cached_property
    def talking(self) -> NDArray[np.bool_]:
        """Frames outside long pauses."""
        return ~self.frames_of([p for p in self.pauses if p[1] - p[0] >= LONG_PAUSE_S])

    @cached_property
    def briefly_silent(self) -> NDArray[np.bool_]:
        """Frames in short pauses."""
        return self.frames_of([p for p in self.pauses if p[1] - p[0] < LONG_PAUSE_S])


def strokes_in_speech(sample: Sample) -> int:
    """Number of strokes in speech."""
    times = stroke_times(arm_speed(sample.positions, sample.fps), sample.fps)
    frames = (times * sample.fps).astype(int)
    return int(sample.talking[np.clip(frames, 0, len(sample.talking) - 1)].sum())


def holds(sample: Sample) -> Floats:
    """Durations (s) of holds in speech: a hand above the hips that is slower than 0.2 m/s."""
    found = []
    for hand in range(2):
        still = (sample.wrist_speeds[:, hand] < _STILL_M_S) & (sample.wrists[:, hand, 1] > 0)
        held = runs(still & sample.talking)
        found.append((held[:, 1] - held[:, 0]) / sample.fps)
    lengths = np.concatenate(found)
    return lengths[lengths >= _HOLD_S]


def angular_speed(sample: Sample, joint: int) -> Floats:
    """Speed of a joint's rotation relative to its parent, in speech; degrees per second."""
    q = sample.motion.poses.rotations[:, joint]
    turns = log(multiply(inverse(q[:-1].astype(np.float64)), q[1:].astype(np.float64)))
    return np.asarray(np.rad2deg(np.linalg.norm(turns, axis=-1)) * sample.fps)[sample.talking[1:]]


def hip_speed(sample: Sample) -> Floats:
    """Horizontal speed of the pelvis in speech, m/s."""
    moved = np.linalg.norm(np.diff(sample.positions[:, 0][:, [0, 2]], axis=0), axis=-1)
    return moved[sample.talking[1:]] * sample.fps


def _pooled(samples: Sequence[Sample], values: Callable[[Sample], Floats]) -> Floats:
    return np.concatenate([values(sample) for sample in samples])


def measures(samples: Sequence[Sample]) -> dict[str, float]:
    """All statistics of a collection by name; the name has the unit."""
    talking = sum(float(s.talking.sum()) / s.fps for s in samples) / 60
    stepped = sum(steps(s.positions, s.fps, s.talking) for s in samples)
    shifted = sum(weight_shifts(s.positions, s.talking) for s in samples)
    sliding = _pooled(samples, lambda s: planted_speeds(s.positions, s.fps))
    result = {
        "strokes in speech, 1/min": sum(map(strokes_in_speech, samples)) / talking,
        **_hands(samples, talking),
        "hips, m/s": float(_pooled(samples, hip_speed).mean()),
        "steps, 1/min": stepped / talking,
        "weight shifts, 1/min": shifted / talking,
        "foot near the floor, m/s": float(sliding.mean()) if len(sliding) else 0.0,
    }
    for name, joint in (("head", _HEAD), ("chest", _CHEST)):
        turned = np.concatenate(
            [angles(s.positions, s.world[1][:, joint])[s.talking] for s in samples]
        )
        for i, way in enumerate(("pitch", "yaw", "roll")):
            result[f"{name} {way}, spread deg"] = float(turned[:, i].std())
    for name, joints in (("wrist", WRISTS), ("head", [_HEAD]), ("body", list(range(22)))):
        jerks = [mean_jerk(s.positions[:, joints], s.fps, s.talking) for s in samples]
        result[f"jerk of {name}, m/s3"] = float(np.mean(jerks))
    for name, members in GROUPS.items():
        turning = [angular_speed(s, j).mean() for s in samples for j in members]
        result[f"{name}, deg/s"] = float(np.mean(turning))
    widths = spread(samples)
    for name, members in GROUPS.items():
        result[f"{name}, rotation spread"] = float(widths[list(members)].mean())
    return result


def _hands(samples: Sequence[Sample], talking: float) -> dict[str, float]:
    """Speeds, holds and heights of the wrists; talking: minutes of speech."""
    both = _pooled(samples, lambda s: s.wrist_speeds[s.talking])
    speed = both.mean(1)
    brief = _pooled(samples, lambda s: s.wrist_speeds[s.briefly_silent].mean(1))
    height = _pooled(samples, lambda s: s.wrists[s.talking][..., 1].reshape(-1))
    held = _pooled(samples, holds)
    return {
        "wrist speed in speech, m/s": float(speed.mean()),
        "wrist speed, median": float(np.median(speed)),
        "wrist speed, 90th percentile": float(np.percentile(speed, 90)),
        "wrist speed in short pauses": float(brief.mean()) if len(brief) else float("nan"),
        "slower over faster hand": float(np.minimum(*both.T).mean() / np.maximum(*both.T).mean()),
        "hold, mean s": float(held.mean()) if len(held) else 0.0,
        "held share of a hand's time": float(held.sum() / (120 * talking)),
        "wrist above the hips, share": float((height > 0).mean()),
        "wrist height, spread m": float(height.std()),
    }


def spread(samples: Sequence[Sample]) -> Floats:
    """Spread `[55]` of each joint's rotation in speech, see `rotation_spread`."""
    return rotation_spread(np.concatenate([s.motion.poses.rotations[s.talking] for s in samples]))
