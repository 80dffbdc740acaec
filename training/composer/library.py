"""Gesture clip library: clips by kind of gesture, and the phases of each clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import ConfigError
from engine.motion.pose import FloatArray
from engine.motion.rotation import forward_kinematics, normalize
from engine.motion.skeleton import SMPLX_55
from training.composer.blend import Clip, distribute_twist, mirrored

FPS = 30

FAMILIES: dict[str, tuple[str, ...]] = {
    "me": ("me",),
    "you": ("you", "youforward", "youleft", "youright", "youpoint"),
    "we": ("we", "us", "inclusivity", "inclusivitypos"),
    "negative": (
        *("negative", "negation", "negateforwardlow", "negateforwardmid", "negateleftlow"),
        *("negateleftmid", "negaterightlow", "negaterightmid", "noforward", "noleft", "noright"),
        *("inclusivityneg", "safe"),
    ),
    "contrast": ("however", "besides", "offer", "chop"),
    "point": ("point", "pointcenter", "indicateleft", "indicateright", "deicticleft"),
    "here": ("here", "pointhere", "point", "pointcenter"),
    "left": ("indicateleft", "pointleft", "deicticleft"),
    "right": ("indicateright", "pointright", "deicticright"),
    "think": ("think", "contemplate"),
    "doubt": ("shrug", "question", "receive"),
    "question": ("question", "plea", "receive", "shrug"),
    "stop": ("stop", "stopforward", "stopleft", "stopright"),
    "big": ("bigger", "emptylarge", "surround", "frame"),
    "small": ("emptymedium", "frame"),
    "all": ("surround", "inclusivity", "inclusivitypos", "safe"),
    "list": ("example", "chop", "when", "emptymedium"),
    "offer": ("offer", "receive", "plea"),
    "beat_low": ("beatlow", "beatflip", "beatforward"),
    "beat_mid": ("beatmid", "beatforward", "beatpointmid", "offer", "chop"),
    "beat_high": ("beathigh", "chop", "beatfistmid", "frame", "beatpointmid"),
}
"""Clip families (lower case) of each kind of gesture."""

_BEATING = ("beat", "chop", "frame", "when")  # prefixes of families with beat strokes
_WRISTS = {"left": 20, "right": 21}
_USUAL_REACH_M = 0.5
_AKIMBO_M = 0.6  # distance of the elbows; less for hanging arms


@dataclass(frozen=True)
class Gesture:
    """A gesture clip and its phases.

    Attributes:
        clip: motion.
        sides: active hands.
        leave: time at which the hands leave rest, seconds of the clip.
        near: time at which they have covered most of the way, seconds.
        far: time at which they reach the far end, seconds.
        reach: distance from rest to the far end, metres.
        beats: true for beats at the far end; false if the stroke is the end of the approach.
        way: distance from rest as a share of the reach, `[T]`.

    """

    clip: Clip
    sides: tuple[str, ...]
    leave: float
    near: float
    far: float
    reach: float
    beats: bool
    way: FloatArray

    def when(self, share: float) -> float:
        """Time at which the hands first reach `share` of their way, seconds of the clip."""
        return int(np.argmax(self.way >= share * 0.999)) / FPS

    def pose(self, time: float) -> FloatArray:
        """Rotations `[55, 4]` at `time` seconds of the clip."""
        return np.asarray(self.clip.rotations[round(time * FPS)], np.float32)


def _wrist_paths(clip: Clip) -> dict[str, FloatArray]:
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, clip.rotations, clip.translation
    )
    return {side: positions[:, j] - positions[:, 0] for side, j in _WRISTS.items()}


def describe(clip: Clip) -> Gesture:
    """Find the phases of a clip from its wrist paths; the markers on file are inconsistent."""
    paths = _wrist_paths(clip)
    ways = {s: np.linalg.norm(path - path[0], axis=-1) for s, path in paths.items()}
    lead = max(ways, key=lambda s: float(ways[s].max()))
    way, reach = ways[lead], float(ways[lead].max())
    far = int(np.argmax(way > 0.93 * reach))
    sides = tuple(
        s for s in ways if ways[s].max() > max(0.5 * reach, 0.14) and paths[s][far, 1] > 0.04
    )
    leave, near = int(np.argmax(way > 0.04 * reach)), int(np.argmax(way > 0.6 * reach))
    beats = clip.family.lower().startswith(_BEATING)
    share = np.asarray(way / max(reach, 1e-6), np.float32)
    return Gesture(clip, sides, leave / FPS, near / FPS, far / FPS, reach, beats, share)


class ClipLibrary:
    """Clips of one split and their mirror images; ConfigError without idle or gesture clips.

    Idle clips belong to both splits, because there are too few of them.
    """

    def __init__(self, clips: Sequence[Clip], split: str) -> None:
        chosen = [clip for clip in clips if clip.split == split or clip.use == "idle"]
        chosen = [_with_distributed_twist(clip) for clip in chosen]
        chosen += [mirrored(clip) for clip in chosen]
        idles = [clip for clip in chosen if clip.use == "idle"]
        hanging = [clip for clip in idles if _hangs(clip)]
        self.idles = hanging or idles
        self.fidgets = [clip for clip in chosen if clip.use == "fidget"]
        described = [describe(clip) for clip in chosen if clip.use == "gesture"]
        self.gestures = [g for g in described if g.sides]
        if not self.idles or not self.gestures:
            raise ConfigError(
                f"expected idle and gesture clips of split {split}, got {len(self.idles)} and "
                f"{len(self.gestures)}; run the clips stage first"
            )

    def rest(self, rng: np.random.Generator) -> FloatArray:
        """Draw a pose `[55, 4]` with hanging arms."""
        clip = self.idles[int(rng.integers(len(self.idles)))]
        return np.asarray(clip.rotations[int(rng.integers(len(clip.rotations)))], np.float32)

    def choose(
        self, kind: str, sides: tuple[str, ...], before: Gesture | None, rng: np.random.Generator
    ) -> Gesture:
        """Draw a gesture of `kind`, or a beat if there is none.

        Prefers the hands `sides` (any if empty) and a clip other than that of `before`.
        """
        pool = self.gestures
        for families in (FAMILIES[kind], FAMILIES["beat_mid"] + FAMILIES["beat_low"]):
            fitting = [g for g in self.gestures if g.clip.family.lower() in families]
            if fitting:
                pool = fitting
                break
        if before is not None:
            pool = [g for g in pool if g.clip.name != before.clip.name] or pool
        if sides:
            pool = [g for g in pool if g.sides == sides] or pool
        # A low-variance generator draws the first ones: gestures of medium reach.
        pool = sorted(pool, key=lambda g: (abs(g.reach - _USUAL_REACH_M), g.clip.name))
        return pool[int(rng.integers(len(pool)))]


def _with_distributed_twist(clip: Clip) -> Clip:
    return Clip(**{**clip.__dict__, "rotations": normalize(distribute_twist(clip.rotations))})


def _hangs(clip: Clip) -> bool:
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, clip.rotations[:1], clip.translation[:1]
    )
    left, right = (positions[0, SMPLX_55.index(f"{s}_elbow"), 0] for s in ("left", "right"))
    return bool(abs(left - right) < _AKIMBO_M)
