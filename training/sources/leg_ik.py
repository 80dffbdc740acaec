"""Leg IK for retargeted motion: reaches the source's ankles and puts the soles on the floor.

Without it, planted feet would slide, because leg proportions differ from the source's.
"""

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.motion import rotation as rot
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import SMPLX_55
from training.data.contacts import floor_height, foot_contacts

FPS = 30
FOOT_HEIGHT_M = 0.015
"""Height of the ball joint of a standing foot above the floor."""

FloatArray = NDArray[np.float64]
_UP = np.array([0.0, 1.0, 0.0])
_STANDING_M_S = 0.3  # maximum speed of the ankle of a standing foot


def bend_legs(
    rotations: FloatArray, translation: FloatArray, ankles: dict[str, FloatArray]
) -> FloatArray:
    """Two-bone IK: rotate hips and knees to reach `ankles` (`[T, 3]` by joint name).

    Keeps the bending plane of the knee and the world rotation of the foot. rotations `[T, 55, 4]`.
    """
    rotations = rotations.copy()
    offsets = SMPLX_55.offsets.astype(np.float64)
    positions, world = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, translation)
    for name, goal in ankles.items():
        side = name.split("_")[0]
        hip, knee, ankle = (SMPLX_55.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        thigh, shin = (
            positions[:, knee] - positions[:, hip],
            positions[:, ankle] - positions[:, knee],
        )
        a, b = np.linalg.norm(thigh[0]), np.linalg.norm(shin[0])
        reach = goal - positions[:, hip]
        distance = np.clip(np.linalg.norm(reach, axis=-1, keepdims=True), 0.3, (a + b) * 0.9999)
        # Direction to the knee, perpendicular to the line from hip to ankle, in the present plane.
        along = rot.normalize(reach)
        knee_side = thigh - (thigh * along).sum(-1, keepdims=True) * along
        forward = rot.rotate(world[:, 0], np.broadcast_to([0.0, 0.0, 1.0], thigh.shape))
        forward = forward - (forward * along).sum(-1, keepdims=True) * along
        knee_side = rot.normalize(knee_side + 0.02 * forward)
        shift = (a * a - b * b + distance**2) / (2 * distance)
        bend = np.sqrt(np.clip(a * a - shift**2, 0.0, None))
        new_thigh = along * shift + knee_side * bend
        new_shin = along * distance - new_thigh
        hip_world = rot.multiply(rot.between(thigh, new_thigh), world[:, hip])
        knee_world = rot.multiply(rot.between(shin, new_shin), world[:, knee])
        rotations[:, hip] = rot.multiply(rot.inverse(world[:, 0]), hip_world)
        rotations[:, knee] = rot.multiply(rot.inverse(hip_world), knee_world)
        rotations[:, ankle] = rot.multiply(rot.inverse(knee_world), world[:, ankle])
    return rotations


def middle(positions: FloatArray, left: int, right: int) -> FloatArray:
    """Midpoint of two joints of positions `[..., J, 3]`."""
    return (positions[..., left, :] + positions[..., right, :]) / 2


def level_feet(
    world: dict[str, FloatArray], ankles: dict[str, FloatArray], frame_rate: int
) -> dict[str, float]:
    """Rotate feet and toes (world rotations `[T, 4]` by name) so that standing soles are flat.

    For sources whose soles are not flat at rest. Assumes that soles are flat on average while the
    ankle (`[T, 3]`, metres) is still, or over all frames if it never is. Returns the rotation of
    each joint in degrees.
    """
    turned = {}
    for name, place in ankles.items():
        moved = np.linalg.norm(np.diff(place, axis=0), axis=-1) * frame_rate
        still = np.append(moved, moved[-1:]) < _STANDING_M_S
        if len(still) < len(place) or not still.any():
            still = np.ones(len(place), bool)
        for joint in (name, name.replace("ankle", "foot")):
            if joint not in world:
                continue
            upright = world[joint][still]
            up = rot.rotate(rot.inverse(upright), np.broadcast_to(_UP, (len(upright), 3)))
            level = rot.between(_UP, up.mean(0))
            world[joint] = rot.multiply(world[joint], np.broadcast_to(level, world[joint].shape))
            turned[joint] = float(np.degrees(rot.angle(rot.identity(), level)))
    return turned


def stand(
    rotations: FloatArray,
    hips: FloatArray,
    ankles: dict[str, FloatArray],
    frame_rate: int = FPS,
) -> Motion:
    """Build a Motion from positions of hips and ankles (`[T, 3]`), grounded and centred."""
    offsets = SMPLX_55.offsets.astype(np.float64)
    translation = np.zeros((len(rotations), 3))
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, translation)
    sides = SMPLX_55.index("left_hip"), SMPLX_55.index("right_hip")
    translation = hips - middle(positions, *sides)
    rotations = bend_legs(rotations, translation, ankles)
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, translation)
    translation[:, 1] += FOOT_HEIGHT_M - floor_height(positions.astype(np.float32))
    translation[:, [0, 2]] -= translation[0, [0, 2]]
    return make_motion(rotations, translation, frame_rate)


def plant(rotations: FloatArray, frame_rate: int = FPS) -> Motion:
    """Build a Motion that stands on one spot, for a source without root positions.

    Keeps the midpoint of the ankles at the origin, then fixes both ankles by leg IK.
    """
    offsets = SMPLX_55.offsets.astype(np.float64)
    origin = np.zeros((len(rotations), 3))
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, origin)
    left, right = SMPLX_55.index("left_ankle"), SMPLX_55.index("right_ankle")
    relative = positions - middle(positions, left, right)[:, None]
    height = FOOT_HEIGHT_M - SMPLX_55.offsets[SMPLX_55.index("left_foot"), 1]
    # 4 mm lower, so that no leg has to stretch to reach a foot that was slightly higher.
    lift = np.array([0.0, height - 0.004, 0.0])
    hips = middle(relative, SMPLX_55.index("left_hip"), SMPLX_55.index("right_hip")) + lift
    ankles = {}
    for name, joint in (("left_ankle", left), ("right_ankle", right)):
        spot = np.median(relative[:, joint], axis=0) * [1.0, 0.0, 1.0] + [0.0, height, 0.0]
        ankles[name] = np.broadcast_to(spot, origin.shape)
    return stand(rotations, hips, ankles, frame_rate)


def make_motion(rotations: FloatArray, translation: FloatArray, frame_rate: int = FPS) -> Motion:
    """Build a Motion with detected contacts, a zero face and continuous quaternions."""
    rotations = rot.normalize(rotations)
    flips = np.sign((rotations[1:] * rotations[:-1]).sum(-1))
    rotations[1:] *= np.cumprod(np.where(flips < 0, -1.0, 1.0), axis=0)[..., None]
    frames = len(rotations)
    chunk = PoseChunk(
        0,
        rotations.astype(np.float32),
        translation.astype(np.float32),
        np.ones((frames, 4), np.float32),
        np.zeros((frames, ARKIT_51.width), np.float32),
    )
    motion = Motion(PoseFormat(clock=FrameClock(frame_rate=frame_rate)), chunk)
    chunk.contacts[:] = foot_contacts(motion.world_positions(), frame_rate)
    return motion
