"""Stance: feet move sideways and keep their orientation, hips rise, and legs reach both."""

from dataclasses import replace

import numpy as np
import pytest

from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.motion.pose import PoseChunk
from engine.motion.rotation import exp, forward_kinematics
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.stance import Stance, StanceConfig
from tests.support import laws
from tests.support.audio import babble
from tests.support.postprocess_streams import StreamAdapter, still_chunk, with_stages

FPS = 30
HIPS, KNEES, ANKLES = (
    [SMPLX_55.index(f"{side}_{name}") for side in ("left", "right")]
    for name in ("hip", "knee", "ankle")
)
LEGS = [*HIPS, *KNEES, *ANKLES]


def standing(frames: int, bend: float = 0.35, sway: float = 0.0) -> PoseChunk:
    """Knees bent by `bend` and hips tilted by up to `sway`, radians."""
    chunk = still_chunk(frames)
    vectors = np.zeros((frames, 55, 3))
    vectors[:, HIPS, 0], vectors[:, KNEES, 0], vectors[:, ANKLES, 0] = -bend / 2, bend, -bend / 2
    vectors[:, 0, 2] = sway * np.sin(np.arange(frames) / 10)
    return replace(chunk, rotations=exp(vectors).astype(np.float32))


def world(chunk: PoseChunk) -> tuple[np.ndarray, np.ndarray]:
    return forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, chunk.rotations, chunk.translation
    )


def knee_angles(chunk: PoseChunk) -> np.ndarray:
    places, _ = world(chunk)
    thigh, shin = places[:, KNEES] - places[:, HIPS], places[:, ANKLES] - places[:, KNEES]
    lengths = np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shin, axis=-1)
    return np.asarray(np.arccos((thigh * shin).sum(-1) / lengths))


def test_feet_move_sideways_hips_rise_and_legs_straighten() -> None:
    before = standing(20)
    after = Stance(StanceConfig(0.05, 0.006), FPS).apply(before)
    (old, old_rotations), (new, new_rotations) = world(before), world(after)
    moved = np.array([[0.05, 0.0, 0.0], [-0.05, 0.0, 0.0]])
    np.testing.assert_allclose(
        new[:, ANKLES] - old[:, ANKLES], np.tile(moved, (20, 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(new_rotations[:, ANKLES], old_rotations[:, ANKLES], atol=1e-5)
    np.testing.assert_allclose(after.translation[:, 1] - before.translation[:, 1], 0.006, atol=6e-4)
    assert (knee_angles(after) < knee_angles(before) - 0.03).all()
    assert (new[:, KNEES, 2] > new[:, ANKLES, 2]).all()  # knees point forward


@pytest.mark.parametrize("bend", [0.0, 0.1, 0.35])
def test_knees_stay_on_the_line_from_hip_to_foot(bend: float) -> None:
    """Seen from the front, knees keep their distance from the line from hip to ankle."""
    distances = []
    for chunk in (before := standing(1, bend), Stance(StanceConfig(0.05), FPS).apply(before)):
        places, _ = world(chunk)
        hip, knee, ankle = (places[0, joints] for joints in (HIPS, KNEES, ANKLES))
        share = (hip - knee)[:, 1:2] / (hip - ankle)[:, 1:2]
        distances.append((knee - hip - share * (ankle - hip))[:, 0])
    np.testing.assert_allclose(distances[1], distances[0], atol=6e-3)


def test_only_legs_and_height_change() -> None:
    before = standing(5, sway=0.05)
    kept = before.rotations.copy()
    after = Stance(StanceConfig(0.05, 0.006), FPS).apply(before)
    others = np.delete(np.arange(55), LEGS)
    np.testing.assert_array_equal(after.rotations[:, others], kept[:, others])
    np.testing.assert_array_equal(after.translation[:, (0, 2)], before.translation[:, (0, 2)])
    np.testing.assert_array_equal(before.rotations, kept)
    none = Stance(StanceConfig(), FPS).apply(before)
    np.testing.assert_allclose(none.rotations, kept, atol=2e-3)


def test_hips_are_lowered_if_a_leg_does_not_reach() -> None:
    before = standing(5, bend=0.05)
    after = Stance(StanceConfig(0.12, 0.01), FPS).apply(before)
    (old, _), (new, _) = world(before), world(after)
    assert (after.translation[:, 1] < before.translation[:, 1]).all()
    aside = np.abs(new[:, ANKLES] - old[:, ANKLES])
    np.testing.assert_allclose(aside, np.tile([0.12, 0.0, 0.0], (5, 2, 1)), atol=1e-5)


def test_resting_feet_rest_while_hips_tilt() -> None:
    """A constant offset does not change a foot's velocity."""
    before = standing(300, sway=0.04)
    after = Stance(StanceConfig(0.05, 0.006), FPS).apply(before)
    (old, _), (new, _) = world(before), world(after)
    slid = np.diff(new[:, ANKLES], axis=0) - np.diff(old[:, ANKLES], axis=0)
    assert np.abs(slid).max() < 2e-5
    assert np.abs(np.diff(after.translation[:, 1], 2)).max() * FPS**2 < 0.5


def legs(chunks: list[PoseChunk]) -> np.ndarray:
    made = [
        np.concatenate([c.rotations[:, LEGS].reshape(len(c), -1), c.translation], 1) for c in chunks
    ]
    return np.concatenate([np.zeros((0, 27), np.float32), *made])


def test_the_streaming_laws_hold() -> None:
    bundle = with_stages(stance=StanceConfig(0.05, 0.006))
    sound = babble(2.0)
    laws.split_law(StreamAdapter(bundle, legs), sound[:24000])
    laws.snapshot_law(StreamAdapter(bundle, legs), sound, [0, 9000, 17000])


def test_an_offset_out_of_range_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"foot_offset_m must be within 0.15 m, got 0.5"):
        from_mapping(StanceConfig, {"foot_offset_m": 0.5})
