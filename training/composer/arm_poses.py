"""Edits of single arm poses: amplitude, blending, mirroring, joint bends, random variation.

A pose is local rotations `[55, 4]`. `training.composer.arms` decides its timing.
"""

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, inverse, log, multiply, normalize, slerp
from training.composer.blend import PARTNERS, bend_elbow, turn_joint

SIDES = ("left", "right")
OTHER = {"left": "right", "right": "left"}
ARM: dict[str, tuple[int, ...]] = {
    "left": (13, 16, 18, 20, *range(25, 40)),
    "right": (14, 17, 19, 21, *range(40, 55)),
}
"""Joints of each arm: collar, shoulder, elbow, wrist, fingers."""
TORSO = (3, 6, 9, 12, 15)
_OUT = {"left": 1.0, "right": -1.0}  # along x


def amplify(pose: FloatArray, rest: FloatArray, size: float, side: str) -> FloatArray:
    """Scale the rotation of one arm's joints from `rest` to `pose` by `size`.

    Collar and shoulder get a smaller factor, because standing speakers keep the elbows close.
    """
    result = pose.copy()
    joints = list(ARM[side][:3])
    way = log(multiply(inverse(rest[joints]), pose[joints]))
    sizes = size * np.array([[0.75], [0.64], [1.05]])
    result[joints] = multiply(rest[joints], exp((sizes * way).astype(np.float32)))
    return result


def towards(pose: FloatArray, goal: FloatArray, share: float, side: str) -> FloatArray:
    """Interpolate one arm from `pose` to `goal` by `share`."""
    result = pose.copy()
    joints = list(ARM[side])
    result[joints] = slerp(pose[joints], goal[joints], np.full((1, 1), share, np.float32))
    return result


def with_arm(pose: FloatArray, other: FloatArray, side: str) -> FloatArray:
    """Replace one arm of `pose` by that of `other`."""
    result = pose.copy()
    result[list(ARM[side])] = other[list(ARM[side])]
    return result


def mirror_image(pose: FloatArray) -> FloatArray:
    """Exchange left and right."""
    return pose[PARTNERS] * np.array([1, 1, -1, -1], np.float32)


def raise_elbow(pose: FloatArray, side: str, forward: float, outward: float) -> None:
    """Swing the upper arm forwards and outwards by angles in radians, in place."""
    shoulder = ARM[side][1]
    turn = np.array([[-forward, 0.0, _OUT[side] * outward]], np.float32)
    turn_joint(pose[None], shoulder, turn)


def bend(pose: FloatArray, side: str, angle: float) -> None:
    """Bend the elbow by `angle` radians (negative: straighten), in place."""
    bend_elbow(pose[None], side, np.array([angle], np.float32))


def flap(pose: FloatArray, side: str, angle: float) -> None:
    """Extend (positive) or flex the wrist by `angle` radians, in place."""
    wrist = ARM[side][3]
    turn = np.array([[0.0, 0.0, _OUT[side] * angle]], np.float32)
    pose[wrist] = normalize(multiply(pose[wrist], exp(turn[0])))


def curl(pose: FloatArray, side: str, angles: np.ndarray) -> None:
    """Bend the joints of each finger by `angles` `[5]`, in place; the thumb is the last."""
    turns = np.zeros((15, 3), np.float32)
    turns[:, 2] = -_OUT[side] * np.repeat(angles, 3)
    joints = list(ARM[side][4:])
    pose[joints] = normalize(multiply(pose[joints], exp(turns)))


def randomize(pose: FloatArray, side: str, size: float, rng: np.random.Generator) -> None:
    """Add random rotations to one arm and its fingers, in place, so that no pose repeats."""
    spread = {0: 0.03, 1: 0.09, 2: 0.11, 3: 0.12}
    for place, deviation in spread.items():
        turn = rng.normal(0, deviation * size, (1, 3)).astype(np.float32)
        turn_joint(pose[None], ARM[side][place], turn)
    curl(pose, side, rng.normal(0.0, 0.12 * size, 1) + rng.normal(0.0, 0.09 * size, 5))
