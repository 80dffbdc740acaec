"""Spine, neck and head: posture over the hips, response to the hands, nods, breathing, gaze.

Pitch, yaw and roll are rotations about +x (forward), +y (to the figure's left) and +z, radians.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, forward_kinematics, identity, inverse, log, multiply
from engine.motion.skeleton import SMPLX_55
from training.composer.gaze import Gaze
from training.composer.minimum_jerk import FPS, bump, drift, smooth
from training.composer.plan import Stress
from training.composer.style import Style

_SPINE = {3: 0.45, 6: 0.35, 9: 0.2}
_CURVE = {3: 1.0, 6: -0.6, 9: -0.4}
_NECK, _HEAD = 12, 15
_FORWARD, _RAISED = 0.08, 0.15
"""Forward lean of the chest and upward pitch of the head in speech, radians. They offset the mean
effect of raised hands, which lean the trunk back, and of nods, which only go down."""
_WRISTS = (20, 21)


@dataclass(frozen=True)
class HeadSign:
    """A head gesture: shake, nod, tilt, up or turn, at `time` seconds."""

    time: float
    kind: str
    strength: float = 1.0


@dataclass(frozen=True)
class TorsoCues:
    """Inputs of the trunk's motion.

    Attributes:
        energy: speech activity, `[T]`, 0..1.
        stresses: stressed words.
        signs: head gestures.
        gaze: targets of the head.

    """

    energy: np.ndarray
    stresses: Sequence[Stress]
    signs: Sequence[HeadSign]
    gaze: Gaze


def _after_hands(rotations: FloatArray, style: Style) -> np.ndarray:
    """Pitch, yaw, roll `[T, 3]` by which the chest follows the hands."""
    still = rotations.copy()
    still[:, 0] = identity()
    points, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, still, np.zeros((len(still), 3), np.float32)
    )
    left, right = (points[:, j] - points[:, 0] for j in _WRISTS)
    apart, both = left - right, 0.5 * (left + right)
    yaw = -0.08 * apart[:, 2]
    roll = 0.16 * apart[:, 1] - 0.3 * both[:, 0]
    pitch = 0.24 * (both[:, 2] - 0.1) - 0.12 * (both[:, 1] - 0.1)
    return style.torso * smooth(np.stack([pitch, yaw, roll], 1), 0.12)


def _nods(times: np.ndarray, cues: TorsoCues, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Pitch, yaw, roll `[T, 3]` of the head for stresses and signs."""
    turn = np.zeros((len(times), 3))
    for stress in cues.stresses:
        if rng.random() < 0.75:
            size = style.head * (rng.uniform(0.03, 0.08) + 0.1 * stress.strength)
            rise, fall = rng.uniform(0.15, 0.22), rng.uniform(0.3, 0.5)
            pulse = bump(times, stress.time + rng.uniform(0.1, 0.16), rise, fall)
            turn[:, 0] += size * pulse
            turn[:, 1] += size * rng.normal(0, 0.35) * pulse
            turn[:, 2] += size * rng.normal(0, 0.5) * pulse
    for sign in cues.signs:
        turn += style.head * sign.strength * _sign(times, sign, rng)
    return turn


def _sign(times: np.ndarray, sign: HeadSign, rng: np.random.Generator) -> np.ndarray:
    turn = np.zeros((len(times), 3))
    at = sign.time + rng.uniform(0.1, 0.2)
    side = rng.choice([-1.0, 1.0])
    if sign.kind == "shake":
        swings = rng.uniform(1.2, 2.4)
        seconds = swings / rng.uniform(1.5, 2.1)
        wave = np.sin(2 * np.pi * swings * np.clip((times - at) / seconds, 0, 1))
        turn[:, 1] = (
            side * rng.uniform(0.08, 0.16) * wave * bump(times, at + 0.4 * seconds, 0.4, 0.7)
        )
    elif sign.kind == "nod":
        for number in range(int(rng.integers(1, 3))):
            turn[:, 0] += rng.uniform(0.08, 0.16) * bump(
                times, at + 0.15 + 0.36 * number, 0.17, 0.22
            )
    elif sign.kind == "tilt":
        turn[:, 2] = side * rng.uniform(0.08, 0.18) * bump(times, at + 0.5, 0.45, 0.8)
    elif sign.kind == "up":
        turn[:, 0] = -rng.uniform(0.06, 0.14) * bump(times, at + 0.4, 0.4, 0.8)
    elif sign.kind == "turn":
        wave = np.sin(2 * np.pi * np.clip((times - at) / 1.6, 0, 1))
        turn[:, 1] = side * rng.uniform(0.12, 0.25) * wave
    return turn


def _noise(energy: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Slow and fast noise `[T, 6]`: pitch, yaw, roll of the chest, then of the head."""
    frames = len(energy)
    size = (0.2 + 0.8 * energy)[:, None]
    chest = drift(frames, 3, 1.4 * FPS, rng) * (0.15, 0.04, 0.16)
    chest += drift(frames, 3, 0.6 * FPS, rng) * (0.07, 0.035, 0.07)
    head = drift(frames, 3, 1.6 * FPS, rng) * (0.07, 0.08, 0.21)
    head += drift(frames, 3, 0.5 * FPS, rng) * (0.06, 0.08, 0.1)
    return size * np.concatenate([style.torso * chest, style.head * head], 1)


def _curve(energy: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Rotation vectors `[T, 3]` of a spine bend that leaves the chest where it is."""
    frames = len(energy)
    bend = drift(frames, 3, 0.7 * FPS, rng) * (0.1, 0.09, 0.08)
    return style.torso * (0.2 + 0.8 * energy)[:, None] * bend


def _breath(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Breathing phase `[T]`, -1..1, with a varying rate."""
    rate = rng.uniform(0.22, 0.3) * (1 + 0.25 * drift(len(times), 1, 6 * FPS, rng)[:, 0])
    return np.sin(2 * np.pi * (rate.cumsum() / FPS + rng.uniform()))


def animate_torso(
    rotations: FloatArray, cues: TorsoCues, style: Style, rng: np.random.Generator
) -> None:
    """Rotate spine, neck and head of `[T, 55, 4]` in place, on top of their present rotations."""
    times = np.arange(len(rotations)) / FPS
    pelvis = rotations[:, 0].astype(float)
    heading = _heading(pelvis)
    tilt = log(multiply(inverse(heading), pelvis))
    noise = _noise(cues.energy, style, rng)
    nods = _nods(times, cues, style, rng)
    chest = _after_hands(rotations, style) + noise[:, :3] + 0.18 * nods
    chest[:, 0] += -0.017 * _breath(times, rng) + _FORWARD * cues.energy
    # The trunk compensates most of the pelvis tilt, so that the head stays level.
    chest -= tilt * (0.8, 0.0, 0.85)
    curve = _curve(cues.energy, style, rng)
    for joint, share in _SPINE.items():
        turn = exp((share * chest + _CURVE[joint] * curve).astype(np.float32))
        rotations[:, joint] = multiply(turn, rotations[:, joint])
    above = _world(rotations, pelvis, (3, 6, 9))
    wanted = nods + noise[:, 3:]
    wanted[:, 1] += cues.gaze.head[:, 0]
    wanted[:, 0] += cues.gaze.head[:, 1] - _RAISED * cues.energy
    # The head follows part of the chest's rotation instead of being fixed in the world.
    along = exp(0.35 * log(multiply(inverse(heading), above)))
    goal = multiply(multiply(heading, along), exp(wanted))
    local = log(multiply(inverse(above), goal))
    rotations[:, _NECK] = multiply(rotations[:, _NECK], exp(0.5 * local).astype(np.float32))
    rotations[:, _HEAD] = multiply(rotations[:, _HEAD], exp(0.5 * local).astype(np.float32))


def _heading(pelvis: FloatArray) -> FloatArray:
    """Yaw component of rotations `[T, 4]`, smoothed over time."""
    yaw = 2 * np.arctan2(pelvis[:, 2], pelvis[:, 0])[:, None]
    yaw = smooth(np.unwrap(yaw, axis=0), 0.5)
    return exp(np.concatenate([0 * yaw, yaw, 0 * yaw], 1))


def _world(rotations: FloatArray, pelvis: FloatArray, joints: Sequence[int]) -> FloatArray:
    world = pelvis
    for joint in joints:
        world = multiply(world, rotations[:, joint].astype(float))
    return world
