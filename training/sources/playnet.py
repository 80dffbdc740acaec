"""PNGestures clips: other joint names and no skeleton file.

Their bind pose is not on disk. It is assumed to be a T-pose with world-aligned axes, which the data
confirm: arms of idle figures are rotated by about 67 degrees about z, downwards. Root positions
lack the rest height and are ignored.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55
from training.sources.figure import Figure
from training.sources.skeleton_map import SkeletonMap, load_map
from training.sources.smartbody import SourceMotion

ACTOR = "PN"
FloatArray = NDArray[np.float64]

_SPINE = ("Hips", "Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head")
_ARM = ("Shoulder", "Arm", "ForeArm", "Hand")
_LEG = ("UpLeg", "Leg", "Foot")
_FINGERS = ("Index", "Middle", "Ring", "Pinky")
_SIDES = {"left": ("Left", 1.0), "right": ("Right", -1.0)}


def _chains() -> list[tuple[str, ...]]:
    """Chains of joints, each starting with a joint of an earlier chain."""
    chains: list[tuple[str, ...]] = [_SPINE]
    for side, _ in _SIDES.values():
        chains.append(("Spine3", *(f"{side}{name}" for name in _ARM)))
        chains.append(("Hips", *(f"{side}{name}" for name in _LEG)))
        chains.append((f"{side}Hand", *(f"{side}HandThumb{i}" for i in (1, 2, 3))))
        for finger in _FINGERS:
            knuckles = (f"{side}Hand{finger}{i}" for i in (1, 2, 3))
            chains.append((f"{side}Hand", f"{side}InHand{finger}", *knuckles))
    return chains


def figure_of(motion: SourceMotion, frame_rate: int) -> Figure:
    """Convert a motion already at `frame_rate` to a figure without positions."""
    parents = {"Hips": ""} | {name: above for c in _chains() for above, name in pairwise(c)}
    names = tuple(parents)
    world: dict[str, FloatArray] = {}
    for name, above in parents.items():
        own = rot.exp(motion.rotations[name])
        world[name] = rot.multiply(world[above], own) if above else own
    return Figure(
        names,
        tuple(names.index(above) if above else -1 for above in parents.values()),
        _rest_places(names, load_map("playnet")),
        rot.identity(len(names)).astype(np.float64),
        np.stack([world[name] for name in names], 1),
        None,
        frame_rate,
    )


def _rest_places(names: tuple[str, ...], skeleton: SkeletonMap) -> FloatArray:
    """T-pose `[J, 3]` with SMPL-X bone lengths: arms along x, legs along y, hands as in SMPL-X.

    Joints without a counterpart in SMPL-X are unused and lie at the origin.
    """
    straight: dict[str, FloatArray] = {}
    for side, (_, sign) in _SIDES.items():
        out, down = np.array([sign, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
        straight |= {f"{side}_elbow": out, f"{side}_wrist": out}
        straight |= {f"{side}_knee": down, f"{side}_ankle": down}
    places: list[FloatArray] = []
    for joint, parent, offset in zip(
        SMPLX_55.joint_names, SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), strict=True
    ):
        bone = straight.get(joint)
        bone = offset if bone is None else bone * np.linalg.norm(offset)
        places.append(bone if parent < 0 else places[parent] + bone)
    result = np.zeros((len(names), 3))
    for joint, followed in skeleton.joints.items():
        result[names.index(followed.place)] = places[SMPLX_55.index(joint)]
    # Foot is the source of both ankle and ball; it is at the ankle.
    for side, (prefix, _) in _SIDES.items():
        result[names.index(f"{prefix}Foot")] = places[SMPLX_55.index(f"{side}_ankle")]
    return result
