"""Lower body: foot placement, steps, weight shifts and leg IK.

Feet are planned first: bouts of steps to a new place, and shifts of weight between the feet. The
hips follow the weight and sway; leg IK then reaches the feet.
"""

from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import (
    cross,
    exp,
    from_matrix,
    identity,
    inverse,
    multiply,
    normalize,
    rotate,
)
from engine.motion.skeleton import SMPLX_55
from training.composer.blend import ease
from training.composer.minimum_jerk import FPS, Track, bump, drift, smooth
from training.composer.style import Style
from training.data.contacts import foot_contacts

LOWER_JOINTS = (0, 1, 2, 4, 5, 7, 8, 10, 11)
_HIPS, _KNEES, _ANKLES, _BALLS = (1, 2), (4, 5), (7, 8), (10, 11)
_FLOOR_M = 0.015  # height of the ball joint of a standing foot
_STRETCH, _SINK_M = 0.997, 0.004  # maximum share of the leg's length; keeps knees slightly bent
_DIP, _DEEPEST_M = 0.5, 0.03  # share and limit of vertical sway: standing knees bend little
_WIDTH_M, _TOE_OUT = 0.22, 0.25
_HEAVY_S = 0.22
_SIDE = (1.0, -1.0)  # left and right along x


@dataclass(frozen=True)
class Lower:
    """Motion of the lower body.

    Attributes:
        rotations: `[T, 55, 4]`; identity except for LOWER_JOINTS.
        translation: `[T, 3]`, metres.

    """

    rotations: FloatArray
    translation: FloatArray


def _heading(yaw: np.ndarray) -> np.ndarray:
    """Horizontal unit vectors `[..., 2]` (x, z) of yaw (radians); 0 is +z."""
    return np.stack([np.sin(yaw), np.cos(yaw)], -1)


class _Feet:
    """Positions of both feet over time, and the weight between them (0 left, 1 right)."""

    def __init__(self, frames: int, rng: np.random.Generator) -> None:
        self.times = np.arange(frames) / FPS
        self.width = float(_WIDTH_M + rng.normal(0, 0.02))
        self.toe_out = float(_TOE_OUT + rng.normal(0, 0.06))
        heading = float(rng.normal(0, 0.08))
        places, yaws = self._goal(np.zeros(2), heading, rng)
        self.place = Track(frames, places)
        self.yaw = Track(frames, yaws)
        self.weight = Track(frames, float(rng.uniform(0.25, 0.75)))
        self.lift = np.zeros((frames, 2))
        self.pitch = np.zeros((frames, 2))

    def _goal(
        self, centre: np.ndarray, heading: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw target positions `[2, 2]` and yaws `[2]` of the feet for a body at `centre`."""
        across = _heading(np.array(heading + np.pi / 2))
        ahead = _heading(np.array(heading))
        uneven = rng.normal(0, 0.035)
        places = np.stack(
            [
                centre + side * (0.5 * self.width + 0.015) * across + side * uneven * ahead
                for side in _SIDE
            ]
        )
        yaws = np.array([heading + side * self.toe_out for side in _SIDE])
        return places, yaws + rng.normal(0, 0.06, 2)

    def shift(self, at: float, rng: np.random.Generator) -> float:
        """Shift the weight to the other leg; returns the end time."""
        light = float(self.weight.goal) < 0.5
        goal = rng.uniform(0.66, 0.9) if light else rng.uniform(0.1, 0.34)
        seconds = float(rng.uniform(0.6, 1.2))
        self.weight.move(at, seconds, goal)
        return at + seconds

    def walk(self, at: float, roam: float, turn: float, rng: np.random.Generator) -> float:
        """Step to another place near the origin; returns the end time."""
        centre = rng.normal(0, roam, 2) * (0.8, 1.2)
        places, yaws = self._goal(centre, float(rng.normal(0, turn)), rng)
        way = places - self.place.goal
        # The foot on the side of the target steps first, so that legs do not cross.
        foot = 0 if way[:, 0].mean() * (1 if abs(way[0, 0]) > 0.05 else 0) >= 0 else 1
        for _ in range(8):
            left = np.linalg.norm(places - self.place.goal, axis=-1)
            if left.max() < 0.06:
                break
            if left[foot] >= 0.03:
                at = self._step(foot, at, places[foot], float(yaws[foot]), rng)
            foot = 1 - foot
        self.weight.move(at - 0.1, float(rng.uniform(0.5, 0.8)), rng.uniform(0.2, 0.8))
        return at

    def _step(
        self, foot: int, at: float, goal: np.ndarray, yaw: float, rng: np.random.Generator
    ) -> float:
        here = self.place.goal
        way = goal - here[foot]
        longest = 0.3 + 0.16 * abs(float(way[1])) / (float(np.linalg.norm(way)) + 1e-6)
        length = float(np.linalg.norm(way))
        if length > longest:
            way *= longest / length
        seconds = float(rng.uniform(0.38, 0.5) + 0.35 * min(length, longest))
        self.weight.move(at - 0.2, 0.55, 0.8 - 0.6 * foot)
        off = at + 0.14
        places, yaws = here.copy(), self.yaw.goal.copy()
        places[foot] += way
        yaws[foot] = yaw
        self.place.move(off + 0.05, seconds - 0.1, places)
        self.yaw.move(off + 0.05, seconds - 0.1, yaws)
        rise = float(rng.uniform(0.05, 0.065) + 0.06 * min(length, longest))
        # The foot lifts before it travels and lowers after it: near the floor it would slide.
        up, down = ease((self.times - off) / 0.16), ease((off + seconds - self.times) / 0.17)
        self.lift[:, foot] += rise * up * down
        self.pitch[:, foot] += 0.4 * bump(self.times, off + 0.16, 0.24, 0.5 * seconds)
        self.pitch[:, foot] -= 0.16 * bump(self.times, off + 0.8 * seconds, 0.4 * seconds, 0.25)
        return off + 0.8 * seconds


def _plan_feet(energy: np.ndarray, style: Style, rng: np.random.Generator) -> _Feet:
    feet = _Feet(len(energy), rng)
    at = float(rng.uniform(0.3, 3.0))
    while at < len(energy) / FPS:
        lively = float(energy[min(int(at * FPS), len(energy) - 1)])
        # In silence weight shifts are more frequent than steps.
        bouts, shifts = style.steps * lively**2, style.shifts * (0.35 + 0.65 * lively)
        at += float(rng.exponential(60 / max(bouts + shifts, 1.0)))
        if rng.random() < bouts / (bouts + shifts):
            at = feet.walk(at, style.roam, 0.16 * style.torso, rng)
        else:
            at = feet.shift(at, rng)
    return feet


def _rock(energy: np.ndarray, style: Style, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Sway of the hips: offset `[T, 3]` (metres) and yaw, pitch, roll `[T, 3]` (radians)."""
    frames = len(energy)
    size = (style.sway * (0.28 + 0.72 * energy))[:, None]
    slow = drift(frames, 3, 1.7 * FPS, rng) * (0.03, 0.04, 0.05)
    quick = drift(frames, 3, 0.8 * FPS, rng) * (0.014, 0.016, 0.026)
    turns = drift(frames, 3, 1.0 * FPS, rng) * (0.24, 0.17, 0.07)
    turns = turns + drift(frames, 3, 0.55 * FPS, rng) * (0.08, 0.07, 0.05)
    return size * (slow + quick), size * turns


def lower_body(energy: np.ndarray, style: Style, rng: np.random.Generator) -> Lower:
    """Compose pelvis, legs and feet for speech activity `[T]`."""
    feet = _plan_feet(energy, style, rng)
    moved, turns = _rock(energy, style, rng)
    weight = feet.weight.values[:, None]
    foot_turn = _foot_turns(feet)
    ball = np.concatenate([feet.place.values, (_FLOOR_M + feet.lift)[..., None]], -1)[
        ..., [0, 2, 1]
    ]
    heel = np.stack([SMPLX_55.offsets[j] for j in _BALLS]).astype(float)
    ankles = ball - rotate(foot_turn, np.broadcast_to(heel, ball.shape))
    standing = ankles[..., [0, 2]] + 0.035 * _heading(feet.yaw.values)
    hips = (1 - weight) * standing[:, 0] + weight * standing[:, 1]
    # Inertia of the trunk: it moves between the feet more slowly than the feet do.
    hips = smooth(hips, _HEAVY_S) + moved[:, [0, 2]]
    yaw = feet.yaw.values.mean(1) + turns[:, 0]
    pitch = style.lean + turns[:, 1]
    # The hip over the free leg drops.
    roll = 0.3 * (feet.weight.values - 0.5) + turns[:, 2]
    pelvis = _euler(yaw, pitch, roll)
    sunk = np.clip(_SINK_M + _DIP * moved[:, 1], 0.0, _DEEPEST_M)
    return _assemble(pelvis, hips, ankles, foot_turn, sunk)


def _euler(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> FloatArray:
    zero = np.zeros_like(yaw)
    turn = exp(np.stack([zero, yaw, zero], -1))
    return multiply(turn, exp(np.stack([pitch, zero, roll], -1)))


def _foot_turns(feet: _Feet) -> FloatArray:
    zero = np.zeros_like(feet.yaw.values)
    return multiply(
        exp(np.stack([zero, feet.yaw.values, zero], -1)),
        exp(np.stack([feet.pitch, zero, zero], -1)),
    )


def _assemble(
    pelvis: FloatArray,
    hips: np.ndarray,
    ankles: np.ndarray,
    foot_turn: FloatArray,
    sunk: np.ndarray,
) -> Lower:
    """Place the pelvis and solve the legs. sunk: lowering of the hips, `[T]`, metres."""
    frames = len(pelvis)
    offsets = SMPLX_55.offsets.astype(float)
    sockets = np.stack([rotate(pelvis, np.broadcast_to(offsets[j], (frames, 3))) for j in _HIPS], 1)
    middle = sockets.mean(1)
    place = np.stack([hips[:, 0] - middle[:, 0], np.zeros(frames), hips[:, 1] - middle[:, 2]], -1)
    length = [float(np.linalg.norm(offsets[k]) + np.linalg.norm(offsets[a])) for k, a in
              zip(_KNEES, _ANKLES, strict=True)]  # fmt: skip
    heights = []
    for leg in range(2):
        apart = ankles[:, leg] - place - sockets[:, leg]
        square = np.square(apart[:, [0, 2]]).sum(-1)
        up = np.sqrt(np.clip((_STRETCH * length[leg]) ** 2 - square, 0.25, None))
        heights.append(ankles[:, leg, 1] + up - sockets[:, leg, 1])
    # The more restrictive leg limits the height of the hips.
    highest = np.minimum(*heights)[:, None]
    lowest = np.minimum(smooth(highest, 0.12), highest)
    place[:, 1] = smooth(lowest, 0.06)[:, 0] - sunk
    rotations = identity(frames, 55).astype(float)
    rotations[:, 0] = pelvis
    for leg in range(2):
        _bend(rotations, pelvis, place + sockets[:, leg], ankles[:, leg], foot_turn[:, leg], leg)
    translation = place - offsets[0]
    return Lower(rotations.astype(np.float32), translation.astype(np.float32))


def _frame(along: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    hinge = normalize(hinge - (hinge * along).sum(-1, keepdims=True) * along)
    return np.stack([along, hinge, cross(along, hinge)], -1)


def _bend(
    rotations: FloatArray,
    pelvis: FloatArray,
    hip: np.ndarray,
    ankle: np.ndarray,
    foot_turn: FloatArray,
    leg: int,
) -> None:
    """Two-bone IK: rotate hip, knee and ankle of one leg in place to reach `ankle`."""
    offsets = SMPLX_55.offsets.astype(float)
    thigh, shin = offsets[_KNEES[leg]], offsets[_ANKLES[leg]]
    a, b = float(np.linalg.norm(thigh)), float(np.linalg.norm(shin))
    reach = ankle - hip
    distance = np.clip(np.linalg.norm(reach, axis=-1, keepdims=True), 0.3, 0.9999 * (a + b))
    along = normalize(reach)
    forward = np.broadcast_to([0.0, 0.0, 1.0], along.shape)
    # Knees point between the directions of foot and hips.
    ahead = normalize(rotate(pelvis, forward) + rotate(foot_turn, forward) * (1.0, 0.3, 1.0))
    ahead = normalize(ahead - (ahead * along).sum(-1, keepdims=True) * along)
    shift = (a * a - b * b + distance**2) / (2 * distance)
    bent = np.sqrt(np.clip(a * a - shift**2, 0.0, None))
    upper = along * shift + ahead * bent
    hinge = cross(ahead, along)
    turned = []
    for bone, now in ((thigh, upper), (shin, along * distance - upper)):
        rest = _frame(normalize(bone), np.array([1.0, 0.0, 0.0]))
        turned.append(from_matrix(_frame(normalize(now), hinge) @ rest.T))
    rotations[:, _HIPS[leg]] = multiply(inverse(pelvis), turned[0])
    rotations[:, _KNEES[leg]] = multiply(inverse(turned[0]), turned[1])
    rotations[:, _ANKLES[leg]] = multiply(inverse(turned[1]), foot_turn)


def contacts_of(positions: FloatArray) -> FloatArray:
    """Foot contacts `[T, 4]` of world positions `[T, 55, 3]`."""
    return foot_contacts(positions.astype(np.float32), FPS)
