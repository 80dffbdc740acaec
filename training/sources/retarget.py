"""Retargeting of any figure to SMPL-X, and the stage `retarget` for SmartBody's clips.

World rotations are copied relative to the two rest poses, after a swing that aligns their bones.
Leg IK then puts the ankles where those of the scaled source are (`training.sources.leg_ik`). A
`SkeletonMap` assigns the source's joints to SMPL-X's.
"""

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.pose import Motion
from engine.motion.skeleton import PART_JOINTS, SMPLX_55, BodyPart
from training.data.clips import save_clip, write_json
from training.sources import playnet
from training.sources.axes import to_project_axes
from training.sources.figure import Figure
from training.sources.finger_repair import repair_fingers
from training.sources.leg_ik import FOOT_HEIGHT_M, FPS, level_feet, middle, plant, stand
from training.sources.skeleton_map import FINGERS, SIDES, Feet, SkeletonMap, Twist, load_map
from training.sources.smartbody import (
    ClipEntry,
    SourceSkeleton,
    read_clips,
    read_motion,
    read_skeleton,
)

FloatArray = NDArray[np.float64]

SKELETONS = {
    "ChrRachel": "ChrRachel/ChrRachel.sk",
    "ChrBrad": "behaviorsets/Gestures/skeletons/ChrBrad.sk",
    "ChrBrad2": "behaviorsets/Gestures2/skeletons/ChrBrad2.sk",
    "ChrConnor": "behaviorsets/FemaleGestures/skeletons/ChrConnor.sk",
    "ChrGarza": "behaviorsets/MaleGestures/skeletons/ChrGarza.sk",
}


def retarget(figure: Figure, skeleton: SkeletonMap) -> Motion:
    """Retarget a figure to SMPL-X, feet on the floor, starting at the origin.

    ClipError or ConfigError if the map does not fit the figure.
    """
    skeleton = skeleton.within(figure.names)
    figure, _ = to_project_axes(figure, skeleton)
    world = followed_rotations(figure, skeleton, swings(rest_places(figure, skeleton)))
    if skeleton.twist is Twist.EVEN:
        distribute_forearm_twist(world)
    if figure.positions is None:
        return plant(_finished(world, skeleton, figure.frame_rate), figure.frame_rate)
    hips, ankles = _scaled_legs(figure, skeleton)
    if skeleton.feet is Feet.LEVEL:
        level_feet(world, ankles, figure.frame_rate)
    rotations = _finished(world, skeleton, figure.frame_rate)
    return stand(rotations, hips, ankles, figure.frame_rate)


def _finished(
    world: Mapping[str, FloatArray], skeleton: SkeletonMap, frame_rate: int
) -> FloatArray:
    rotations = local_rotations(world)
    if not skeleton.repair:
        return rotations
    return repair_fingers(rot.normalize(rotations), list(PART_JOINTS[BodyPart.HANDS]), frame_rate)


def rest_places(figure: Figure, skeleton: SkeletonMap) -> dict[str, FloatArray]:
    """Rest positions of the source's joints by SMPL-X name; fingertips are `left_index4` etc."""
    at = figure.rest_positions
    rest = {joint: at[figure.index(f.place)] for joint, f in skeleton.joints.items()}
    for side in SIDES:
        for finger in FINGERS:
            last = skeleton.joints.get(f"{side}_{finger}3")
            end = f"{last.place} end" if last else ""
            tip = skeleton.tips.get(f"{side}_{finger}", end)
            if last and tip in figure.names:
                place = at[figure.index(tip)]
                if np.linalg.norm(place - rest[f"{side}_{finger}3"]) > 0:
                    rest[f"{side}_{finger}4"] = place
    return rest


def followed_rotations(
    figure: Figure, skeleton: SkeletonMap, swing: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """World rotations `[T, 4]` by SMPL-X name: the source's relative to rest, after the swing."""

    def relative(source: str, joint: str) -> FloatArray:
        j = figure.index(source)
        turned = rot.multiply(figure.rotations[:, j], rot.inverse(figure.rest_rotations[j]))
        return np.asarray(rot.multiply(turned, swing[joint]) if joint in swing else turned)

    world = {joint: relative(f.follow, joint) for joint, f in skeleton.joints.items()}
    for joint, f in skeleton.joints.items():
        if f.towards:
            share = np.full((1, 1), f.share)
            world[joint] = rot.slerp(world[joint], relative(f.towards, joint), share)
    return world


def _bone_chain(side: str) -> list[tuple[str, str, str]]:
    """Yield (joint, end joint of its bone, joint whose swing it inherits), roots first."""
    arm = [("shoulder", "elbow", ""), ("elbow", "wrist", "shoulder")]
    leg = [("hip", "knee", ""), ("knee", "ankle", "hip")]
    fingers = [
        (f"{finger}{i}", f"{finger}{i + 1}", "wrist" if i == 1 else f"{finger}{i - 1}")
        for finger in FINGERS
        for i in (1, 2)
    ]
    return [
        (f"{side}_{a}", f"{side}_{b}", f"{side}_{c}" if c else "")
        for a, b, c in arm + leg + fingers
    ]


def _hand_frame(
    wrist: FloatArray, index: FloatArray, middle: FloatArray, little: FloatArray
) -> Any:
    along = rot.normalize(middle - wrist)
    normal = rot.normalize(rot.cross(along, index - little))
    return rot.from_matrix(np.stack([along, normal, rot.cross(along, normal)], -1))


def swings(bind: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Rotations that align each SMPL-X rest bone with the source's, by SMPL-X name.

    bind: world positions of the source's rest pose by SMPL-X name. Joints missing in the result
    have identity. A hand is aligned with its plane, and fingers inherit its rotation.
    """
    positions, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), rot.identity(55), np.zeros(3)
    )
    rest = {name: positions[j] for j, name in enumerate(SMPLX_55.joint_names)}
    none = rot.identity().astype(np.float64)
    result: dict[str, FloatArray] = {}
    for side in SIDES:
        knuckles = [f"{side}_{name}" for name in ("wrist", "index1", "middle1", "pinky1")]
        if set(knuckles) <= set(bind):
            source = _hand_frame(*(bind[name] for name in knuckles))
            target = _hand_frame(*(rest[name] for name in knuckles))
            result[f"{side}_wrist"] = rot.multiply(source, rot.inverse(target))
        for joint, end, start in _bone_chain(side):
            if joint not in bind or end not in bind:
                continue
            before = result.get(start, none)
            bone = rot.rotate(before, rest[end] - rest[joint])
            result[joint] = rot.multiply(rot.between(bone, bind[end] - bind[joint]), before)
        # Without knuckles the hand inherits the forearm's swing.
        result.setdefault(f"{side}_wrist", result.get(f"{side}_elbow", none))
        for finger in FINGERS:
            # SMPL-X has no fingertip joint: the last bone continues the one before.
            last = f"{side}_{finger}3"
            before = result.get(f"{side}_{finger}2", none)
            if last not in bind:
                continue
            bone = rot.rotate(before, rest[last] - rest[f"{side}_{finger}2"])
            tip = bind.get(f"{side}_{finger}4")
            turn = none if tip is None else rot.between(bone, tip - bind[last])
            result[last] = rot.multiply(turn, before)
    return result


def local_rotations(world: Mapping[str, FloatArray]) -> FloatArray:
    """Local rotations `[T, 55, 4]` of world rotations `[T, 4]` by name; identity for others."""
    frames = len(world["pelvis"])
    result = rot.identity(frames, 55).astype(np.float64)
    whole: dict[str, FloatArray] = {}
    for j, name in enumerate(SMPLX_55.joint_names):
        parent = SMPLX_55.parents[j]
        above = rot.identity(frames) if parent < 0 else whole[SMPLX_55.joint_names[parent]]
        whole[name] = world.get(name, above)
        if name in world:
            result[:, j] = rot.multiply(rot.inverse(above), world[name])
    return result


def distribute_forearm_twist(world: dict[str, FloatArray]) -> None:
    """Distribute the forearm twist equally over elbow and wrist, in place.

    Recorded SMPL-X motion does so (both twists have the same spread in BEAT2), and the mesh then
    creases at neither joint. Hands are unchanged.
    """
    for side in SIDES:
        names = [f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")]
        upper, fore, hand = (world[name] for name in names)
        along = rot.normalize(SMPLX_55.offsets[SMPLX_55.index(names[2])].astype(np.float64))
        elbow = _twist(rot.multiply(rot.inverse(upper), fore), along)
        wrist = _twist(rot.multiply(rot.inverse(fore), hand), along)
        # Unwrapped, because half of the sum would jump where one twist passes 180 degrees.
        more = (np.unwrap(wrist) - np.unwrap(elbow)) / 2
        world[names[1]] = rot.multiply(fore, rot.exp(more[:, None] * along))


def _twist(q: FloatArray, axis: FloatArray) -> FloatArray:
    """Twist angles `[T]` of `q [T, 4]` about `axis`, radians, -pi to pi."""
    angle = 2.0 * np.arctan2((q[:, 1:] * axis).sum(-1), q[:, 0])
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def _leg_length(positions: FloatArray, hip: int, knee: int, ankle: int) -> float:
    upper = np.linalg.norm(positions[knee] - positions[hip])
    return float(upper + np.linalg.norm(positions[ankle] - positions[knee]))


def _scaled_legs(figure: Figure, skeleton: SkeletonMap) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Target positions of hip midpoint and ankles, metres, scaled to SMPL-X's leg length."""
    rest, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), rot.identity(55), np.zeros(3)
    )
    legs = [[f"{side}_{part}" for part in ("hip", "knee", "ankle")] for side in SIDES]
    at = {name: figure.index(skeleton.joints[name].place) for leg in legs for name in leg}
    bind, positions = figure.rest_positions, figure.positions
    assert positions is not None
    ours = sum(_leg_length(rest, *(SMPLX_55.index(n) for n in leg)) for leg in legs)
    theirs = sum(_leg_length(bind, *(at[n] for n in leg)) for leg in legs)
    ankle = SMPLX_55.index("left_ankle")
    height = FOOT_HEIGHT_M + rest[ankle, 1] - rest[SMPLX_55.index("left_foot"), 1]
    floor = bind[[at["left_ankle"], at["right_ankle"]], 1].mean()

    def place(points: FloatArray) -> FloatArray:
        return (points - [0.0, floor, 0.0]) * (ours / theirs) + [0.0, height, 0.0]

    hips = place(middle(positions, at["left_hip"], at["right_hip"]))
    return hips, {f"{side}_ankle": place(positions[:, at[f"{side}_ankle"]]) for side in SIDES}


def retarget_entry(entry: ClipEntry, root: Path) -> Motion:
    """Retarget the clip of one row of clips.tsv; its files are below `root`."""
    return retarget(*figure_of_entry(entry, root))


def figure_of_entry(entry: ClipEntry, root: Path) -> tuple[Figure, SkeletonMap]:
    """Read the figure of one row of clips.tsv and its skeleton map."""
    path = root / entry.path
    if entry.actor == playnet.ACTOR:
        return playnet.figure_of(read_motion(path).resampled(FPS), FPS), _map("playnet")
    if entry.actor not in SKELETONS:
        raise ConfigError(
            f"{path}: no skeleton for {entry.actor!r}, expected one of {[*SKELETONS]}"
        )
    skeleton = _skeleton(root / SKELETONS[entry.actor])
    return read_motion(path).figure(skeleton, FPS), _map("smartbody")


@cache
def _map(name: str) -> SkeletonMap:
    return load_map(name)


@cache
def _skeleton(path: Path) -> SourceSkeleton:
    return read_skeleton(path)


def convert_all(entries: list[ClipEntry], root: Path, out: Path) -> list[dict[str, Any]]:
    """Write OUT/clips/NAME.npz of each entry; returns the rows of clips.json."""
    (out / "clips").mkdir(parents=True, exist_ok=True)
    described = []
    for number, entry in enumerate(entries):
        motion = retarget_entry(entry, root)
        meta = {"name": entry.name, **asdict(entry), "frames": len(motion), "fps": FPS}
        save_clip(out / "clips" / f"{entry.name}.npz", motion, meta)
        described.append(meta)
        if number % 50 == 49:
            print(f"retarget: {number + 1} of {len(entries)} clips", flush=True)
    return described


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Retarget all clips of `data`: clips.tsv and motions.tar.xz (or its contents).

    config: `exclude`, uses of clips to skip. Writes OUT/clips/*.npz, then OUT/clips.json.
    """
    exclude = set(config.get("exclude", ["exclude"]))
    entries = [entry for entry in read_clips(data / "clips.tsv") if entry.use not in exclude]
    archive = data / "motions.tar.xz"
    if not archive.exists():
        described = convert_all(entries, data, out)
    else:
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            described = convert_all(entries, Path(folder), out)
    write_json(out / "clips.json", described)
    print(f"retarget: {len(described)} clips in {out}", flush=True)
