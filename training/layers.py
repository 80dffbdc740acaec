"""A body for a take: gestures laid over an idle base, beats, nods, breath and drift.

Knows gesture units (what, when) and clips (how); of words and phones it knows nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import ConfigError
from engine.pose import FloatArray
from engine.rotation import forward_kinematics
from engine.skeleton import SMPLX_55
from training.blend import (
    Clip,
    bend_elbow,
    continuous,
    ease,
    eased,
    mirrored,
    mix,
    sample_rotations,
    turn_joint,
)
from training.face import drift
from training.plan import GestureUnit, Stress

FPS = 30

FAMILIES: dict[str, tuple[str, ...]] = {
    "me": ("me",),
    "you": ("you", "youforward", "youleft", "youright", "youpoint"),
    "we": ("we", "us", "inclusivity", "inclusivitypos", "surround"),
    "negative": (
        *("negative", "negation", "negateforwardlow", "negateforwardmid", "negateleftlow"),
        *("negateleftmid", "negaterightlow", "negaterightmid", "noforward", "noleft", "noright"),
        *("inclusivityneg", "safe"),
    ),
    "however": ("however", "besides", "offer"),
    "point": (
        *("indicateleft", "indicateright", "point", "pointcenter", "pointhere", "pointleft"),
        *("pointright", "here", "deicticleft", "deicticright"),
    ),
    "think": ("think", "contemplate", "shrug"),
    "question": ("question", "plea", "shrug", "when", "receive"),
    "stop": ("stop", "stopforward", "stopleft", "stopright", "negative"),
    "big": ("bigger", "surround", "emptylarge", "frame", "inclusivity"),
    "example": ("example", "offer", "emptymedium", "when"),
    "beat_low": ("beatlow", "beatflip"),
    "beat_mid": ("beatmid", "beatforward", "beatpointmid", "offer", "chop"),
    "beat_high": ("beathigh", "chop", "beatfistmid", "frame", "receive"),
}
"""Clip families (lower case) for each kind of gesture unit."""

_BEATING = ("beat", "chop", "frame", "when")  # families that beat; all others reach out

_ARMS = (13, 14, 16, 17, 18, 19, 20, 21, *range(25, 55))
_TORSO = (3, 6, 9, 12, 15)
_WRISTS = {"left": 20, "right": 21}


@dataclass(frozen=True)
class Gesture:
    """A clip and what its hands do, seconds of the clip: leave rest, be most of the way, be there.

    sides: hands that work; reach: metres from rest to the far end; beats: whether the strokes are
    beats at the far end, or the last part of the way.
    """

    clip: Clip
    sides: tuple[str, ...]
    leave: float
    near: float
    far: float
    reach: float
    beats: bool


def describe(clip: Clip) -> Gesture:
    """Find the phases of a gesture clip by the way of its hands (markers on file are uneven)."""
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, clip.rotations, clip.translation
    )
    ways = {
        s: np.linalg.norm(positions[:, j] - positions[0, j], axis=-1) for s, j in _WRISTS.items()
    }
    lead = max(ways, key=lambda s: float(ways[s].max()))
    way, reach = ways[lead], float(ways[lead].max())
    wrists = {s: positions[:, j, 1] - positions[:, 0, 1] for s, j in _WRISTS.items()}
    far = int(np.argmax(way > 0.93 * reach))
    sides = tuple(
        s for s in ways if ways[s].max() > max(0.5 * reach, 0.14) and wrists[s][far] > 0.04
    )
    leave, near = int(np.argmax(way > 0.04 * reach)), int(np.argmax(way > 0.6 * reach))
    beats = clip.family.lower().startswith(_BEATING)
    return Gesture(clip, sides, leave / FPS, near / FPS, far / FPS, reach, beats)


class ClipLibrary:
    """Clips of one split, mirrored ones too; raises ConfigError where there is nothing to use."""

    def __init__(self, clips: Sequence[Clip], split: str) -> None:
        prepared = [clip for clip in clips if clip.split == split or clip.use == "idle"]
        prepared += [mirrored(clip) for clip in prepared]
        self.idles = [clip for clip in prepared if clip.use == "idle"]
        described = [describe(clip) for clip in prepared if clip.use == "gesture"]
        self.gestures = [g for g in described if g.sides]
        if not self.idles or not self.gestures:
            raise ConfigError(
                f"expected idle and gesture clips of split {split}, got {len(self.idles)} and "
                f"{len(self.gestures)}; run the clips stage first"
            )

    def choose(self, kind: str, before: Gesture | None, rng: np.random.Generator) -> Gesture:
        """A gesture of `kind`, or a beat if there is none; rather with the hands that were up
        `before`, and rather not the same clip again.
        """
        pool = self.gestures
        for families in (FAMILIES[kind], FAMILIES["beat_mid"] + FAMILIES["beat_low"]):
            fitting = [g for g in self.gestures if g.clip.family.lower() in families]
            if fitting:
                pool = fitting
                break
        if before is not None:
            pool = [g for g in pool if g.clip.name != before.clip.name] or pool
            if rng.random() < 0.75:
                pool = [g for g in pool if g.sides == before.sides] or pool
        return pool[int(rng.integers(len(pool)))]


@dataclass
class Body:
    """rotations `[T, 55, 4]`, translation `[T, 3]`, contacts `[T, 4]`."""

    rotations: FloatArray
    translation: FloatArray
    contacts: FloatArray


def idle_body(library: ClipLibrary, frames: int, rng: np.random.Generator) -> Body:
    """Idles of one actor, one after the other, each blended into the next for a second."""
    actors = sorted({clip.actor for clip in library.idles})
    weights = np.array([sum(c.duration for c in library.idles if c.actor == a) for a in actors])
    actor = rng.choice(actors, p=weights**0.5 / (weights**0.5).sum())
    pool = [clip for clip in library.idles if clip.actor == actor]
    cross = FPS
    body: Body | None = None
    while body is None or len(body.rotations) < frames:
        clip = pool[int(rng.integers(len(pool)))]
        first = int(rng.integers(max(1, len(clip.rotations) - 12 * FPS)))
        last = min(len(clip.rotations), first + int(rng.uniform(6, 20) * FPS))
        piece = Body(
            clip.rotations[first:last].copy(),
            clip.translation[first:last].copy(),
            clip.contacts[first:last],
        )
        piece.translation[:, [0, 2]] -= clip.translation[:, [0, 2]].mean(0)
        body = piece if body is None else _join(body, piece, min(cross, len(piece.rotations) // 3))
    return Body(body.rotations[:frames], body.translation[:frames], body.contacts[:frames])


def _join(a: Body, b: Body, cross: int) -> Body:
    along = ease(np.linspace(0, 1, cross))
    middle = mix(a.rotations[-cross:], b.rotations[:cross], along[:, None])
    w = along[:, None].astype(np.float32)
    shift = (1 - w) * a.translation[-cross:] + w * b.translation[:cross]
    touch = np.where(w < 0.5, a.contacts[-cross:], b.contacts[:cross])
    return Body(
        np.concatenate([a.rotations[:-cross], middle, b.rotations[cross:]]),
        np.concatenate([a.translation[:-cross], shift, b.translation[cross:]]),
        np.concatenate([a.contacts[:-cross], touch, b.contacts[cross:]]),
    )


@dataclass(frozen=True)
class Timing:
    """When hands rise, are up, land each stroke, begin to sink and are down, in seconds."""

    rise: float
    up: float
    strokes: tuple[tuple[float, float, float], ...]  # begin, landing, strength
    sink: float
    down: float
    rise_is_stroke: bool = False


def time_unit(unit: GestureUnit, reach: float, rng: np.random.Generator) -> Timing:
    """Causal times: everything follows what has already been heard. reach: way to go, metres."""
    rise = unit.start + float(rng.uniform(0.06, 0.16))
    quickest = max(0.42, 1.05 * reach)
    up = rise + max(float(rng.uniform(0.55, 0.72)), 1.25 * reach)
    strokes = []
    rise_is_stroke = False
    for stress in unit.strokes:
        landing = stress.time + float(rng.uniform(0.17, 0.21))
        begin = landing - float(rng.uniform(0.17, 0.2))
        if not strokes and landing < up + 0.12:
            # Too early for hands that still rise: their arrival marks the word.
            if landing > rise + quickest:
                up, rise_is_stroke = landing, True
        elif not strokes or begin > strokes[-1][1] + 0.2:
            strokes.append((max(begin, up), max(landing, up + 0.17), stress.strength))
    sink = unit.end + float(rng.uniform(0.28, 0.4))
    down = sink + float(rng.uniform(0.9, 1.25))
    return Timing(rise, up, tuple(strokes), sink, down, rise_is_stroke)


class _Curve:
    """A curve that rests at its knots; a new goal may be set before the last one is reached."""

    def __init__(self, time: float, value: float) -> None:
        self.knots = [(time, value)]

    def leave(self, time: float) -> float:
        """The value at `time`; what was to come later is dropped."""
        here = float(eased(np.array([time]), self.knots)[0])
        self.knots = [knot for knot in self.knots if knot[0] < time]
        self.knots.append((time, here))
        return here

    def to(self, time: float, value: float) -> None:
        self.knots.append((time, value))


def clip_time(gesture: Gesture, timing: Timing, raised: bool) -> list[tuple[float, float]]:
    """Knots (second of the take, second of the clip)."""
    ready = gesture.far if gesture.beats else gesture.near
    arrival = gesture.far if timing.rise_is_stroke else ready
    curve = _Curve(timing.rise, ready if raised else gesture.leave)
    curve.to(timing.up, arrival)
    if arrival != ready:
        curve.to(timing.up + 0.85, ready)
    for begin, landing, strength in timing.strokes:
        curve.leave(begin)
        target = ready + (gesture.far - ready) * (0.7 + 0.3 * strength)
        curve.to(landing, target)
        curve.to(landing + 0.15, target)
        curve.to(landing + 0.9, ready + 0.15 * (target - ready))
    curve.leave(timing.sink)
    return curve.knots


def beat_curve(gesture: Gesture, timing: Timing) -> list[tuple[float, float]]:
    """Knots (second, elbow bend in radians): cocked while up, down with each stroke, back again."""
    size = 1.0 if gesture.beats else 0.45
    curve = _Curve(timing.rise, 0.0)
    curve.to(timing.up, 0.16 * size)
    for begin, landing, strength in timing.strokes:
        low = curve.leave(begin) - (0.34 + 0.32 * strength) * size
        curve.to(landing, low)
        curve.to(landing + 0.12, low + 0.05 * size)
        curve.to(landing + 0.8, 0.16 * size)
    curve.leave(timing.sink)
    curve.to(timing.sink + 0.6, 0.0)
    return curve.knots


@dataclass(frozen=True)
class Joining:
    """Whether the hands are up already when a unit begins, and whether they sink after it."""

    raised: bool
    retracts: bool


def lay_gestures(
    body: Body, units: Sequence[GestureUnit], library: ClipLibrary, rng: np.random.Generator
) -> list[Timing]:
    """Blend one clip over `body` for each unit, in place; returns the times that were used."""
    timings: list[Timing] = []
    before: Gesture | None = None
    raised = False
    for index, unit in enumerate(units):
        retracts = unit.retracts or index + 1 == len(units)
        gesture = library.choose(unit.kind, before if raised else None, rng)
        timing = time_unit(unit, max(gesture.reach, 0.4) if raised else gesture.reach, rng)
        # Without a retraction the next unit covers this one by the time its hands are up.
        until = timing.down if retracts else units[index + 1].start + 2.0
        first, last = int(timing.rise * FPS), min(int(until * FPS) + 1, len(body.rotations))
        if last - first < 4:
            continue
        times = np.arange(first, last) / FPS
        _lay(body, slice(first, last), times, gesture, timing, Joining(raised, retracts))
        timings.append(timing)
        before, raised = gesture, not retracts
    return timings


def _lay(
    body: Body, where: slice, times: np.ndarray, gesture: Gesture, timing: Timing, joining: Joining
) -> None:
    warped = eased(times, clip_time(gesture, timing, joining.raised))
    rotations = sample_rotations(gesture.clip.rotations, warped * FPS)
    beat = eased(times, beat_curve(gesture, timing))
    lead = 0 if gesture.reach * FPS % 2 < 1 else 1  # one of two hands leads: nobody is symmetric
    for index, side in enumerate(gesture.sides):
        shown = beat if index == lead % len(gesture.sides) else 0.7 * np.roll(beat, 1)
        bend_elbow(rotations, side, shown)
    # From rest the clip itself makes the way: it only has to take over early.
    share = 1.0 if joining.raised else 0.6
    weight = ease((times - timing.rise) / (share * (timing.up - timing.rise)))
    if joining.retracts:
        weight = weight * ease((timing.down - times) / (timing.down - timing.sink))
    joints = np.zeros(55)
    joints[list(_ARMS)] = 1.0
    joints[list(_TORSO)] = 0.6
    body.rotations[where] = mix(body.rotations[where], rotations, weight[:, None] * joints)


def _pulses(
    times: np.ndarray, at: Sequence[tuple[float, float]], rise: float, fall: float
) -> np.ndarray:
    total = np.zeros(len(times))
    for centre, size in at:
        total += size * ease((times - centre + rise) / rise) * ease((centre + fall - times) / fall)
    return total


def enliven(body: Body, stresses: Sequence[Stress], rng: np.random.Generator) -> None:
    """Nods on stresses, breath, and slow chance in neck, chest and arms, in place."""
    frames = len(body.rotations)
    times = np.arange(frames) / FPS
    nods = [
        (s.time + rng.uniform(0.1, 0.16), rng.uniform(0.03, 0.06) + 0.07 * s.strength)
        for s in stresses
    ]
    nod = _pulses(times, nods, 0.18, 0.42)
    slow = drift(frames, 14, 1.3 * FPS, rng)
    for joint, share in ((12, 0.5), (15, 0.6)):
        turn = 0.06 * slow[:, :3] * share
        turn[:, 0] += nod * share
        turn_joint(body.rotations, joint, turn)
    rate = rng.uniform(0.22, 0.3)
    breath = np.sin(2 * np.pi * (rate * times + 0.6 * slow[:, 3].cumsum() / FPS * 0.1))
    chest = np.zeros((frames, 3))
    chest[:, 0] = -0.017 * breath + 0.25 * nod * 0.3
    turn_joint(body.rotations, 9, chest)
    for side, joint in enumerate((16, 17, 18, 19)):
        turn = 0.065 * slow[:, 4 + 2 * side : 6 + 2 * side]
        turn_joint(body.rotations, joint, np.pad(turn, ((0, 0), (1, 0))))


def prepare(clip: Clip) -> Clip:
    """The clip with rotations that interpolate the short way."""
    return Clip(**{**clip.__dict__, "rotations": continuous(clip.rotations)})
