"""Retargeting: round trips of foreign skeletons, missing joints, other proportions."""

import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ClipError, ConfigError
from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55
from tests.support.foreign_skeletons import foreign_figure, scaled
from tests.support.motion_writers import bvh_lines, bvh_of, figure_of_motion
from training.data.clips import load_clip
from training.sources import retarget as stage
from training.sources.bvh import parse_bvh
from training.sources.bvh_figure import figure_of
from training.sources.leg_ik import plant
from training.sources.retarget import distribute_forearm_twist, local_rotations, retarget, swings
from training.sources.retarget_metrics import compare
from training.sources.skeleton_map import load_map, map_names

FILES = [name for name in map_names() if name != "playnet"]
KNEES = [SMPLX_55.index("left_knee"), SMPLX_55.index("right_knee")]
UPPER = [
    j for j, n in enumerate(SMPLX_55.joint_names) if not {"hip", "knee", "ankle"} & {*n.split("_")}
]


def standing(frames=30):
    """A figure that stands, gestures and looks straight ahead on average."""
    rotations = rot.identity(frames, 55).astype(np.float64)
    seconds = np.arange(frames) / 30
    turns = {
        "left_shoulder": (0.2, 0.0, -1.2), "right_shoulder": (0.1, 0.4, 1.0),
        "left_elbow": (0.4, -1.4, 0.0), "right_elbow": (-0.6, 0.9, 0.0),
        "left_wrist": (0.3, 0.2, 0.1), "spine2": (0.1, 0.0, 0.05), "head": (0.0, 0.3, 0.0),
        "left_index1": (0.0, 0.0, -0.9), "right_thumb2": (0.0, 0.5, 0.0), "left_knee": (0.2, 0, 0),
        "left_ankle": (-0.1, 0, 0), "left_hip": (-0.1, 0, 0),
    }  # fmt: skip
    for name, turn in turns.items():
        swing = 1.0 + 0.2 * np.sin(4 * seconds)[:, None]
        rotations[:, SMPLX_55.index(name)] = rot.exp(np.asarray(turn) * swing)
    return plant(rotations)


def _degrees(a, b, joints=slice(None)):
    turned = rot.angle(*(m.poses.rotations[:, joints].astype(float) for m in (a, b)))
    return np.degrees(turned).max()


def _same_places(a, b, atol):
    """Knees of nearly straight legs are pushed a little further forward every time."""
    a, b = a.world_positions(), b.world_positions()
    np.testing.assert_allclose(a[:, KNEES], b[:, KNEES], atol=0.015)
    others = [j for j in range(55) if j not in KNEES]
    np.testing.assert_allclose(a[:, others], b[:, others], atol=atol)


def test_our_own_figure_comes_back():
    motion = standing()
    back = retarget(figure_of_motion(motion), load_map("smplx"))
    assert _degrees(motion, back, UPPER) < 0.05
    _same_places(back, motion, 1e-4)
    np.testing.assert_array_equal(back.poses.contacts, motion.poses.contacts)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("times", [1.0, 1.25])
def test_figures_of_every_source_come_back(name, times):
    """On our own bones nothing may change but where the twist of the forearm sits."""
    motion = standing()
    back = retarget(scaled(foreign_figure(motion, name), times), load_map(name))
    assert back.format.clock.frame_rate == 30
    _same_places(back, motion, 5e-3)
    hands = [j for j, n in enumerate(SMPLX_55.joint_names) if n[-1] in "123" and "spine" not in n]
    assert _degrees(motion, back, hands) < 0.05


@pytest.mark.parametrize("name", FILES)
def test_the_way_through_a_file_changes_nothing(name):
    figure = foreign_figure(standing(), name)
    direct = retarget(figure, load_map(name))
    read, _ = figure_of(parse_bvh(bvh_lines(bvh_of(figure))), 30)
    through = retarget(read, load_map(name))
    assert _degrees(direct, through) < 0.05
    np.testing.assert_allclose(through.world_positions(), direct.world_positions(), atol=1e-3)


def test_a_file_at_another_rate_and_in_other_axes():
    figure = foreign_figure(standing(61), "beat")
    turn = rot.exp(np.array([np.pi / 2, 0.0, 0.0]))
    lines = list(bvh_lines(bvh_of(figure.turned(turn, turn), unit="m")))
    read, unit = figure_of(parse_bvh(lines), 15)
    assert unit.why.startswith("m, guessed")
    motion = retarget(read, load_map("beat"))
    assert (len(motion), motion.format.clock.frame_rate) == (31, 15)
    direct = retarget(figure, load_map("beat"))
    np.testing.assert_allclose(motion.world_positions(), direct.world_positions()[::2], atol=1e-3)


def long_armed():
    """A figure in A-pose with other proportions whose feet point straight ahead."""
    figure = foreign_figure(standing(), "zeroeggs")
    rest, places = figure.rest_positions.copy(), figure.positions.copy()
    for joint, parent in enumerate(figure.parents):
        if parent < 0:
            continue
        times = 1.4 if "Arm" in figure.names[joint] or "Leg" in figure.names[joint] else 0.9
        old = figure.rest_positions[joint] - figure.rest_positions[parent]
        lower = rot.exp(np.array([0.0, 0.0, -0.7 if "Left" in figure.names[joint] else 0.7]))
        arm = "Arm" in figure.names[parent] or "Hand" in figure.names[parent]
        rest[joint] = rest[parent] + times * (rot.rotate(lower, old) if arm else old)
        bone = rot.rotate(
            figure.rotations[:, parent],
            np.broadcast_to(rest[joint] - rest[parent], places[:, 0].shape),
        )
        places[:, joint] = places[:, parent] + bone
    return replace(figure, rest_positions=rest, positions=places)


def test_bones_and_palms_point_as_the_source_does():
    figure, skeleton = long_armed(), load_map("zeroeggs")
    motion = retarget(figure, skeleton)
    found = compare(figure, skeleton, motion)
    arms = {
        bone: most
        for bone, (_, most) in found.bone_deg.items()
        if "hip" not in bone and "knee" not in bone
    }
    assert len(arms) == 2 * (2 + 1 + 10)
    assert max(arms.values()) < 1e-2
    # The two hands have other proportions, so their planes are not quite one.
    assert max(most for _, most in found.palm_deg.values()) < 5.0
    legs = [most for bone, (_, most) in found.bone_deg.items() if "hip" in bone or "knee" in bone]
    assert max(legs) < 15.0
    feet = motion.world_positions()[
        :, [SMPLX_55.index("left_foot"), SMPLX_55.index("right_foot")], 1
    ]
    np.testing.assert_allclose(feet.min(1), stage.FOOT_HEIGHT_M, atol=2e-3)


def test_fingers_that_a_source_lacks_stay_with_the_hand():
    figure, skeleton = foreign_figure(standing(), "zeroeggs"), load_map("zeroeggs")
    keep = [j for j, n in enumerate(figure.names) if not n[-1].isdigit() or "Hand" not in n]
    fewer = replace(
        figure,
        names=tuple(figure.names[j] for j in keep),
        parents=tuple(keep.index(figure.parents[j]) if j else -1 for j in keep),
        rest_positions=figure.rest_positions[keep],
        rest_rotations=figure.rest_rotations[keep],
        rotations=figure.rotations[:, keep],
        positions=figure.positions[:, keep],
    )
    motion, whole = retarget(fewer, skeleton), retarget(figure, skeleton)
    wrists = [SMPLX_55.index(f"{side}_wrist") for side in ("left", "right")]
    np.testing.assert_allclose(
        motion.world_positions()[:, wrists], whole.world_positions()[:, wrists], atol=1e-3
    )
    assert rot.angle(motion.poses.rotations[:, 25:], rot.identity(30, 30)).max() < 1e-3


def test_a_figure_without_elbows_is_refused():
    figure = foreign_figure(standing(3), "trinity")
    names = tuple(name.replace("LeftForeArm", "LeftElbow") for name in figure.names)
    with pytest.raises(ConfigError, match="expected the joint 'LeftForeArm' for left_elbow"):
        retarget(replace(figure, names=names), load_map("trinity"))


def test_a_rest_pose_that_is_no_pose_is_refused():
    figure = foreign_figure(standing(3), "trinity")
    flat = figure.rest_positions * [1.0, 0.0, 1.0] + np.arange(len(figure.names))[:, None] * [
        0,
        0,
        0.1,
    ]
    with pytest.raises(ClipError, match="rest_frame"):
        retarget(replace(figure, rest_positions=flat), load_map("trinity"))


def test_elbow_and_wrist_share_the_twist_and_the_hand_stays():
    axis = rot.normalize(SMPLX_55.offsets[SMPLX_55.index("left_wrist")].astype(float))
    angles = np.radians(np.linspace(-150, 170, 40))[:, None]
    world = {
        f"{side}_{joint}": rot.identity(40).astype(float)
        for side in ("left", "right")
        for joint in ("shoulder", "elbow", "wrist")
    }
    bend = rot.exp(-0.8 * rot.normalize(np.cross([0.0, 0.0, 1.0], axis))[None])
    world["left_elbow"] = np.broadcast_to(bend, (40, 4))
    world["left_wrist"] = rot.multiply(world["left_elbow"], rot.exp(angles * axis))
    hand = world["left_wrist"].copy()
    distribute_forearm_twist(world)
    np.testing.assert_array_equal(world["left_wrist"], hand)
    half = rot.multiply(np.broadcast_to(bend, (40, 4)), rot.exp(angles / 2 * axis))
    assert rot.angle(world["left_elbow"], half).max() < 1e-6
    along = rot.rotate(world["left_elbow"], np.broadcast_to(axis, (40, 3)))
    np.testing.assert_allclose(
        along, np.broadcast_to(rot.rotate(bend[0], axis), (40, 3)), atol=1e-9
    )


def test_twist_past_half_a_turn_does_not_jump():
    axis = rot.normalize(SMPLX_55.offsets[SMPLX_55.index("right_wrist")].astype(float))
    angles = np.radians(np.linspace(100, 260, 50))[:, None]
    none = rot.identity(50).astype(float)
    world = {f"{s}_{j}": none for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")}
    world["right_wrist"] = rot.exp(angles * axis)
    distribute_forearm_twist(world)
    steps = rot.angle(world["right_elbow"][1:], world["right_elbow"][:-1])
    assert np.degrees(steps.max()) < 2.0


def test_swings_bring_our_bones_onto_the_sources():
    """An arm that hangs in the rest pose: ours is swung down by the shortest way."""
    rest = {
        f"{side}_{joint}": np.array([sign * x, y, 0.0])
        for side, sign in (("left", 1), ("right", -1))
        for joint, x, y in (("shoulder", 0.2, 1.4), ("elbow", 0.2, 1.1), ("wrist", 0.2, 0.8),
                            ("hip", 0.1, 0.9), ("knee", 0.1, 0.5), ("ankle", 0.1, 0.1))
    }  # fmt: skip
    swing = swings(rest)
    for side in ("left", "right"):
        for joint, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee")):
            bone = SMPLX_55.offsets[SMPLX_55.index(f"{side}_{end}")].astype(float)
            turned = rot.rotate(swing[f"{side}_{joint}"], rot.normalize(bone))
            np.testing.assert_allclose(turned, [0, -1, 0], atol=1e-9)
        # Without knuckles the hand inherits the forearm's swing.
        np.testing.assert_array_equal(swing[f"{side}_wrist"], swing[f"{side}_elbow"])


def test_joints_that_follow_nobody_go_with_their_parent():
    turn = np.broadcast_to(rot.exp(np.array([0.0, 0.5, 0.0])), (2, 4))
    local = local_rotations({"pelvis": turn, "spine3": turn, "head": rot.identity(2)})
    assert rot.angle(local[:, SMPLX_55.index("spine3")], rot.identity(2)).max() < 1e-6
    back = rot.inverse(turn)
    assert rot.angle(local[:, SMPLX_55.index("head")], back).max() < 1e-6
    assert rot.angle(local[:, SMPLX_55.index("left_elbow")], rot.identity(2)).max() == 0


@pytest.fixture(scope="module")
def recorded(shared_dir, tmp_path_factory):
    """A few recorded clips, retargeted by the stage itself."""
    folder = shared_dir / "data" / "smartbody"
    wanted = ("ChrRachel_Idle01_MeLf01", "ChrGarza_IdleStand01_MeBt01", "PN_me2")
    entries = [e for e in stage.read_clips(folder / "clips.tsv") if e.name in wanted]
    return folder, entries, tmp_path_factory.mktemp("clips")


@pytest.mark.reference
def test_recorded_gestures_stay_recognisable(recorded):
    folder, entries, out = recorded
    names = [e.path for e in entries] + list(stage.SKELETONS.values())
    with tarfile.open(folder / "motions.tar.xz") as tar:
        members = [m for m in tar.getmembers() if m.name.removeprefix("./") in names]
        tar.extractall(out, members=members, filter="data")
    described = stage.convert_all(entries, out, out)
    assert json.dumps(described)
    assert {m["fps"] for m in described} == {30}
    for entry in entries:
        motion, _ = load_clip(out / "clips" / f"{entry.name}.npz")
        points = motion.world_positions()
        chest = points[:, SMPLX_55.index("spine3")]
        wrists = points[:, [SMPLX_55.index("left_wrist"), SMPLX_55.index("right_wrist")]]
        assert np.linalg.norm(wrists - chest[:, None], axis=-1).min() < 0.35
        assert np.ptp(points[:, SMPLX_55.index("left_ankle")], axis=0).max() < 0.01
        assert 1.5 < points[:, SMPLX_55.index("head"), 1].mean() < 1.75


@pytest.mark.reference
def test_recorded_clips_come_through_bvh(recorded):
    """Written as BVH and read back: joints within 1 mm, the retargeted clip within 0.5 degrees."""
    folder, entries, out = recorded
    wanted = {e.path for e in entries} | set(stage.SKELETONS.values())
    with tarfile.open(folder / "motions.tar.xz") as tar:
        members = [m for m in tar.getmembers() if m.name.removeprefix("./") in wanted]
        tar.extractall(out, members=members, filter="data")
    for entry in entries:
        figure, skeleton = stage.figure_of_entry(entry, out)
        if figure.positions is None:
            continue  # a clip that does not say where it is has nothing to be compared
        back, unit = figure_of(parse_bvh(bvh_lines(bvh_of(figure))), 30)
        assert unit.why.startswith("cm, guessed")
        at = [back.names.index(name) for name in figure.names]
        np.testing.assert_allclose(back.positions[:, at], figure.positions, atol=1e-3)
        direct, through = retarget(figure, skeleton), retarget(back, skeleton)
        assert _degrees(direct, through) < 0.5
        np.testing.assert_allclose(through.world_positions(), direct.world_positions(), atol=1e-3)
        found = compare(figure, skeleton, direct)
        arms = [
            m for bone, (_, m) in found.bone_deg.items() if not {"hip", "knee"} & {*bone.split("_")}
        ]
        assert max(arms) < 0.5
        assert max(most for _, most in found.palm_deg.values()) < 8.0
