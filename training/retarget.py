"""From SmartBody's characters to SMPL-X: the stage `retarget`.

World rotations are copied relative to the two rest poses, bones being swung onto one another first;
then the legs are bent so that the ankles stand where the scaled source's stand, because thighs and
shins have other proportions and planted feet would slide. Knows the names of joints on both sides.
"""

import tarfile
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import rotation as rot
from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.face import ARKIT_51
from engine.pose import Motion, PoseChunk, PoseFormat
from engine.skeleton import PART_JOINTS, SMPLX_55, BodyPart
from training import playnet
from training.clips import save_clip, write_json
from training.contacts import floor_height, foot_contacts
from training.repair import repair_fingers
from training.smartbody import (
    ClipEntry,
    SourceMotion,
    SourceSkeleton,
    read_clips,
    read_motion,
    read_skeleton,
)

FPS = 30
FOOT_HEIGHT_M = 0.015
"""Height of the ball joint of a standing foot above the floor."""

FloatArray = NDArray[np.float64]

SKELETONS = {
    "ChrRachel": "ChrRachel/ChrRachel.sk",
    "ChrBrad": "behaviorsets/Gestures/skeletons/ChrBrad.sk",
    "ChrBrad2": "behaviorsets/Gestures2/skeletons/ChrBrad2.sk",
    "ChrConnor": "behaviorsets/FemaleGestures/skeletons/ChrConnor.sk",
    "ChrGarza": "behaviorsets/MaleGestures/skeletons/ChrGarza.sk",
}

_CENTRE = {"pelvis": "Root", "spine1": "SpineA", "spine2": "SpineB", "spine3": "SpineC",
           "neck": "NeckA", "head": "SkullA"}  # fmt: skip
_LIMBS = {"collar": "Clavicle", "shoulder": "UpperArmTwistB", "elbow": "ForearmTwistB",
          "wrist": "Wrist", "hip": "Hip", "knee": "Knee", "ankle": "Ankle", "foot": "Ball",
          **{f"{name}{i + 1}": f"{source}{letter}" for name, source in (
              ("index", "Index"), ("middle", "Middle"), ("ring", "Ring"), ("pinky", "Little"),
              ("thumb", "Thumb")) for i, letter in enumerate("ABC")}}  # fmt: skip
_SIDES = {"left": "Lf", "right": "Rt"}

SOURCE_JOINT: dict[str, str] = {
    **{name: f"Jt{source}" for name, source in _CENTRE.items()},
    **{
        f"{side}_{name}": f"Jt{source}{suffix}"
        for side, suffix in _SIDES.items()
        for name, source in _LIMBS.items()
    },
}
"""SMPL-X joint to the SmartBody joint that it follows; jaw and eyes follow nobody."""

_FINGERS = ("index", "middle", "ring", "pinky", "thumb")


def _bone_chain(side: str) -> list[tuple[str, str, str]]:
    """(joint, joint at the end of its bone, joint whose swing it starts from), roots first."""
    arm = [("shoulder", "elbow", ""), ("elbow", "wrist", "shoulder")]
    leg = [("hip", "knee", ""), ("knee", "ankle", "hip")]
    fingers = [
        (f"{finger}{i}", f"{finger}{i + 1}", "wrist" if i == 1 else f"{finger}{i - 1}")
        for finger in _FINGERS
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


def swings(bind: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Rotations that turn each SMPL-X rest bone onto the source's, by SMPL-X name.

    bind: world positions of the source's bind pose by SMPL-X name. Joints that are not in the
    result need none. A hand is turned as a whole, its plane with it, fingers start from the hand.
    """
    positions, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), rot.identity(55), np.zeros(3)
    )
    rest = {name: positions[j] for j, name in enumerate(SMPLX_55.joint_names)}
    result: dict[str, FloatArray] = {}
    for side in _SIDES:
        knuckles = [f"{side}_{name}" for name in ("wrist", "index1", "middle1", "pinky1")]
        source = _hand_frame(*(bind[name] for name in knuckles))
        target = _hand_frame(*(rest[name] for name in knuckles))
        result[f"{side}_wrist"] = rot.multiply(source, rot.inverse(target))
        for joint, end, start in _bone_chain(side):
            before = result.get(start, rot.identity().astype(np.float64))
            bone = rot.rotate(before, rest[end] - rest[joint])
            result[joint] = rot.multiply(rot.between(bone, bind[end] - bind[joint]), before)
        for finger in _FINGERS:
            # The last bone has no joint at its end in SMPL-X: it continues the one before.
            before = result[f"{side}_{finger}2"]
            bone = rot.rotate(before, rest[f"{side}_{finger}3"] - rest[f"{side}_{finger}2"])
            tip = bind.get(f"{side}_{finger}4")
            last = f"{side}_{finger}3"
            turn = rot.identity() if tip is None else rot.between(bone, tip - bind[last])
            result[last] = rot.multiply(turn, before)
    return result


def local_rotations(world: dict[str, FloatArray]) -> FloatArray:
    """Local rotations `[T, 55, 4]` of world rotations `[T, 4]` by name; others are at rest."""
    frames = len(world["pelvis"])
    result = rot.identity(frames, 55).astype(np.float64)
    for j, name in enumerate(SMPLX_55.joint_names):
        if name not in world:
            continue
        parent = SMPLX_55.parents[j]
        above = rot.identity(frames) if parent < 0 else world[SMPLX_55.joint_names[parent]]
        result[:, j] = rot.multiply(rot.inverse(above), world[name])
    return result


def _share_twist(world: dict[str, FloatArray], elbows: dict[str, FloatArray]) -> None:
    """Let the elbow carry half of the forearm's twist, and the wrist the other half."""
    for side in _SIDES:
        name = f"{side}_elbow"
        world[name] = rot.slerp(elbows[name], world[name], np.full((1, 1), 0.5))


def bend_legs(
    rotations: FloatArray, translation: FloatArray, ankles: dict[str, FloatArray]
) -> FloatArray:
    """Turn hips and knees so that the ankles reach `ankles` (`[T, 3]` by joint name).

    The knee keeps the plane it bends in and the foot its world rotation. rotations `[T, 55, 4]`.
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
        # Out to the knee at right angles to the line from hip to ankle, in the present plane.
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


def _middle(positions: FloatArray, left: int, right: int) -> FloatArray:
    return (positions[..., left, :] + positions[..., right, :]) / 2


def _leg_length(positions: FloatArray, hip: int, knee: int, ankle: int) -> float:
    upper = np.linalg.norm(positions[knee] - positions[hip])
    return float(upper + np.linalg.norm(positions[ankle] - positions[knee]))


def retarget(skeleton: SourceSkeleton, motion: SourceMotion) -> Motion:
    """The motion of a SmartBody character as SMPL-X, 30 frames a second, feet on the floor."""
    motion = motion.resampled(FPS)
    root = motion.positions.get("JtRoot", np.zeros((len(motion.times), 3)))
    positions, source = skeleton.pose(motion.channel_rotations(skeleton), root)
    bind_positions, bind_rotations = skeleton.bind()
    at = {name: skeleton.index(source_name) for name, source_name in SOURCE_JOINT.items()}
    bind = {name: bind_positions[j] for name, j in at.items()}
    for side, suffix in _SIDES.items():
        bind[f"{side}_wrist"] = bind_positions[skeleton.index(f"JtWrist{suffix}")]
        bind[f"{side}_elbow"] = bind_positions[skeleton.index(f"JtElbow{suffix}")]
        bind[f"{side}_shoulder"] = bind_positions[skeleton.index(f"JtShoulder{suffix}")]
        for finger in _FINGERS:
            tip = f"Jt{_LIMBS[finger + '1'][:-1]}D{suffix}"
            bind[f"{side}_{finger}4"] = bind_positions[skeleton.index(tip)]
    swing = swings(bind)

    def relative(j: int, name: str) -> FloatArray:
        turned = rot.multiply(source[:, j], rot.inverse(bind_rotations[j]))
        return rot.multiply(turned, swing[name]) if name in swing else turned

    world = {name: relative(j, name) for name, j in at.items()}
    elbows = {
        f"{side}_elbow": relative(skeleton.index(f"JtElbow{suffix}"), f"{side}_elbow")
        for side, suffix in _SIDES.items()
    }
    _share_twist(world, elbows)
    return stand(local_rotations(world), *_scaled_legs(positions, bind_positions, at))


def _scaled_legs(
    positions: FloatArray, bind: FloatArray, at: dict[str, int]
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Where the middle of the hips and the ankles should be, in metres, for SMPL-X's legs."""
    rest, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), rot.identity(55), np.zeros(3)
    )
    legs = [[f"{side}_{part}" for part in ("hip", "knee", "ankle")] for side in _SIDES]
    ours = sum(_leg_length(rest, *(SMPLX_55.index(n) for n in leg)) for leg in legs)
    theirs = sum(_leg_length(bind, *(at[n] for n in leg)) for leg in legs)
    ankle = SMPLX_55.index("left_ankle")
    height = FOOT_HEIGHT_M + rest[ankle, 1] - rest[SMPLX_55.index("left_foot"), 1]
    floor = bind[[at["left_ankle"], at["right_ankle"]], 1].mean()

    def place(points: FloatArray) -> FloatArray:
        return (points - [0.0, floor, 0.0]) * (ours / theirs) + [0.0, height, 0.0]

    hips = place(_middle(positions, at["left_hip"], at["right_hip"]))
    return hips, {f"{side}_ankle": place(positions[:, at[f"{side}_ankle"]]) for side in _SIDES}


def stand(rotations: FloatArray, hips: FloatArray, ankles: dict[str, FloatArray]) -> Motion:
    """A Motion whose hips and ankles (`[T, 3]`) are as given, then grounded and centred."""
    offsets = SMPLX_55.offsets.astype(np.float64)
    translation = np.zeros((len(rotations), 3))
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, translation)
    sides = SMPLX_55.index("left_hip"), SMPLX_55.index("right_hip")
    translation = hips - _middle(positions, *sides)
    rotations = bend_legs(rotations, translation, ankles)
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, translation)
    translation[:, 1] += FOOT_HEIGHT_M - floor_height(positions.astype(np.float32))
    translation[:, [0, 2]] -= translation[0, [0, 2]]
    return make_motion(rotations, translation)


def plant(rotations: FloatArray) -> Motion:
    """A Motion of a figure that stands on one spot, for a source that does not say where it is.

    The body goes where the ankles, on average, stay; then the legs are bent so that both do.
    """
    offsets = SMPLX_55.offsets.astype(np.float64)
    origin = np.zeros((len(rotations), 3))
    positions, _ = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, origin)
    left, right = SMPLX_55.index("left_ankle"), SMPLX_55.index("right_ankle")
    relative = positions - _middle(positions, left, right)[:, None]
    height = FOOT_HEIGHT_M - SMPLX_55.offsets[SMPLX_55.index("left_foot"), 1]
    # 4 mm less, so that no leg must stretch to reach a foot that was a little higher.
    lift = np.array([0.0, height - 0.004, 0.0])
    hips = _middle(relative, SMPLX_55.index("left_hip"), SMPLX_55.index("right_hip")) + lift
    ankles = {}
    for name, joint in (("left_ankle", left), ("right_ankle", right)):
        spot = np.median(relative[:, joint], axis=0) * [1.0, 0.0, 1.0] + [0.0, height, 0.0]
        ankles[name] = np.broadcast_to(spot, origin.shape)
    return stand(rotations, hips, ankles)


def make_motion(rotations: FloatArray, translation: FloatArray) -> Motion:
    """A Motion with contacts measured, a still face, and quaternions without flips of sign."""
    rotations = repair_fingers(rot.normalize(rotations), list(PART_JOINTS[BodyPart.HANDS]))
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
    motion = Motion(PoseFormat(clock=FrameClock(frame_rate=FPS)), chunk)
    chunk.contacts[:] = foot_contacts(motion.world_positions())
    return motion


def retarget_entry(entry: ClipEntry, root: Path) -> Motion:
    """The clip of one row of clips.tsv, whose files lie under `root`."""
    path = root / entry.path
    if entry.actor == playnet.ACTOR:
        return plant(local_rotations(playnet.world_rotations(read_motion(path).resampled(FPS))))
    if entry.actor not in SKELETONS:
        raise ConfigError(
            f"{path}: no skeleton for {entry.actor!r}, expected one of {[*SKELETONS]}"
        )
    return retarget(_skeleton(root / SKELETONS[entry.actor]), read_motion(path))


@cache
def _skeleton(path: Path) -> SourceSkeleton:
    return read_skeleton(path)


def convert_all(entries: list[ClipEntry], root: Path, out: Path) -> list[dict[str, Any]]:
    """Write OUT/clips/NAME.npz of each entry; gives their descriptions for clips.json."""
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
    """Stage: `data` holds clips.tsv and motions.tar.xz (or what it unpacks to).

    config: `exclude`, uses that are left out. Writes OUT/clips/*.npz and, last, OUT/clips.json.
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
