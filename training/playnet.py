"""The PNGestures clips: other joint names and no skeleton file.

Their bind pose is not on disk. It is taken to be a T-pose with all axes along the world's, which
the data bear out: an idle figure's arms are turned by about 67 degrees about z, downwards. Root
positions lack their rest height, so the feet decide where the body is.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine import rotation as rot
from engine.skeleton import SMPLX_55
from training.smartbody import SourceMotion

ACTOR = "PN"
FloatArray = NDArray[np.float64]

_SPINE = ("Hips", "Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head")
_ARM = ("Shoulder", "Arm", "ForeArm", "Hand")
_LEG = ("UpLeg", "Leg", "Foot")
_FINGERS = {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Pinky"}
_SIDES = {"left": ("Left", 1.0), "right": ("Right", -1.0)}


def _chains() -> list[tuple[str, ...]]:
    """Chains of joints, each beginning with a joint of an earlier chain."""
    chains: list[tuple[str, ...]] = [_SPINE]
    for side, _ in _SIDES.values():
        chains.append(("Spine3", *(f"{side}{name}" for name in _ARM)))
        chains.append(("Hips", *(f"{side}{name}" for name in _LEG)))
        chains.append((f"{side}Hand", *(f"{side}HandThumb{i}" for i in (1, 2, 3))))
        for finger in _FINGERS.values():
            knuckles = (f"{side}Hand{finger}{i}" for i in (1, 2, 3))
            chains.append((f"{side}Hand", f"{side}InHand{finger}", *knuckles))
    return chains


def _names(side: str, source: str) -> dict[str, str]:
    arm = dict(zip(("collar", "shoulder", "elbow", "wrist"), _ARM, strict=True))
    leg = dict(zip(("hip", "knee", "ankle"), _LEG, strict=True))
    names = {f"{side}_{name}": f"{source}{joint}" for name, joint in (arm | leg).items()}
    names[f"{side}_foot"] = f"{source}Foot"
    for finger, joint in (_FINGERS | {"thumb": "Thumb"}).items():
        names |= {f"{side}_{finger}{i}": f"{source}Hand{joint}{i}" for i in (1, 2, 3)}
    return names


def _world(motion: SourceMotion) -> dict[str, FloatArray]:
    result: dict[str, FloatArray] = {"Hips": rot.exp(motion.rotations["Hips"])}
    for chain in _chains():
        for above, name in pairwise(chain):
            result[name] = rot.multiply(result[above], rot.exp(motion.rotations[name]))
    return result


def _straight(names: dict[str, str], sign: float, side: str) -> dict[str, FloatArray]:
    """Swings from SMPL-X's rest bones to a T-pose's: arms along x, legs along y."""
    bones = {"shoulder": ("elbow", "x"), "elbow": ("wrist", "x"), "hip": ("knee", "y"),
             "knee": ("ankle", "y")}  # fmt: skip
    axes = {"x": np.array([sign, 0.0, 0.0]), "y": np.array([0.0, -1.0, 0.0])}
    result = {}
    for joint, (end, axis) in bones.items():
        bone = SMPLX_55.offsets[SMPLX_55.index(f"{side}_{end}")].astype(np.float64)
        result[f"{side}_{joint}"] = rot.between(bone, axes[axis])
    return result


def world_rotations(motion: SourceMotion) -> dict[str, FloatArray]:
    """World rotations `[T, 4]` by SMPL-X name, the figure facing +Z on average."""
    source = _world(motion)
    names = dict(zip(("pelvis", "spine1", "spine2", "spine3"), _SPINE, strict=False))
    names |= {"neck": "Neck", "head": "Head"}
    swing: dict[str, FloatArray] = {}
    for side, (prefix, sign) in _SIDES.items():
        own = _names(side, prefix)
        names |= own
        swing |= _straight(own, sign, side)
    facing = rot.rotate(source["Hips"], np.broadcast_to([0.0, 0.0, 1.0], (len(motion.times), 3)))
    yaw = np.arctan2(facing[:, 0].mean(), facing[:, 2].mean())
    turn = rot.exp(np.array([[0.0, -yaw, 0.0]]))
    result = {}
    for name, joint in names.items():
        turned = rot.multiply(np.broadcast_to(turn, source[joint].shape), source[joint])
        result[name] = rot.multiply(turned, swing[name]) if name in swing else turned
    return result
