"""Glances: how often one looks away, where to, how fast, and the head that follows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.bundle.io import Bundle
from engine.errors import ConfigError
from engine.motion.face_basis import ARKIT_51, ARKIT_52, FLAME_100
from engine.motion.pose import PoseChunk
from engine.motion.rotation import log
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.gaze import EYE_RADIANS, Gaze, GazeConfig
from engine.stream.stream import GestureStream
from tests.support import laws
from tests.support.audio import babble
from tests.support.postprocess_streams import Fed, faces, still_chunk, with_stages

FPS = 30
AWAY = 0.12  # radians: nearer than that one looks at the listener
NAMES = ARKIT_51.coefficients
EYES = [NAMES.index(name) for name in NAMES if name.startswith("eyeLook")]


def looks(seconds: float, *, away: float = 0.3, seed: int = 0, talk: bool = True) -> np.ndarray:
    """Directions `[T, 2, 2]` of eyes and head while somebody says phrases of 2.5 s, or nothing."""
    glances = Gaze(GazeConfig(away), seed, ARKIT_51, FPS)
    frames = range(int(seconds * FPS))
    return np.array([glances.next(f, voiced=talk and f % 120 < 75) for f in frames])


def test_eyes_leave_the_listener_as_often_as_asked_for() -> None:
    def share(away: float) -> float:
        point = np.concatenate([looks(300, away=away, seed=s).sum(1)[:, 0] for s in range(4)])
        return float((np.abs(point) > 2 * AWAY).mean())

    assert share(0.0) < 0.03
    assert 0.05 < share(0.3) < 0.3
    assert share(0.8) > share(0.3) + 0.1


def test_eyes_jump_and_the_head_comes_after_them() -> None:
    made = looks(300)
    eyes, head = made[:, 0], made[:, 1]
    jumps = np.flatnonzero(np.abs(np.diff(made.sum(1)[:, 0])) > 0.15)
    assert len(jumps) > 10
    assert np.abs(np.diff(head, axis=0)).max() * FPS < 2.0
    assert np.abs(np.diff(head, 2, axis=0)).max() * FPS**2 < 25.0
    settled = made.sum(1)[:, 0]
    quiet = np.abs(np.diff(settled, prepend=settled[0])) < 0.01
    assert quiet.mean() > 0.8  # most of the time one looks somewhere, and does not wander
    assert np.abs(eyes).max() <= 0.6
    assert np.corrcoef(settled, head[:, 0])[0, 1] > 0.3


def test_who_begins_looks_away_and_who_ends_looks_back() -> None:
    made = np.concatenate([looks(600, away=0.5, seed=s) for s in range(3)])
    point = np.abs(made.sum(1)[:, 0]).reshape(-1, 120)
    assert point[:, 15:30].mean() > 1.3 * point[:, 95:115].mean()


def test_the_past_is_not_changed_by_what_is_said_later() -> None:
    quiet, other = (Gaze(GazeConfig(), 3, ARKIT_51, FPS) for _ in range(2))
    said = [f >= 200 and f % 40 < 20 for f in range(600)]
    one = np.array([quiet.next(f, voiced=False) for f in range(600)])
    two = np.array([other.next(f, voiced=said[f]) for f in range(600)])
    np.testing.assert_array_equal(one[:200], two[:200])
    assert not np.array_equal(one, two)
    assert not np.array_equal(looks(60, seed=1), looks(60, seed=2))


@pytest.mark.parametrize("basis", [ARKIT_51, ARKIT_52], ids=lambda basis: basis.name)
def test_both_eyes_look_the_same_way_and_nothing_else_of_the_face_changes(basis: Any) -> None:
    chunk = still_chunk(600)
    chunk = replace(chunk, face=np.full((600, basis.width), 0.25, np.float32))
    made = Gaze(GazeConfig(0.8), 5, basis, FPS).apply(chunk)
    at = {name: made.face[:, i] for i, name in enumerate(basis.coefficients)}
    np.testing.assert_array_equal(at["eyeLookOutLeft"], at["eyeLookInRight"])
    np.testing.assert_array_equal(at["eyeLookInLeft"], at["eyeLookOutRight"])
    np.testing.assert_array_equal(at["eyeLookUpLeft"], at["eyeLookUpRight"])
    assert (at["eyeLookOutLeft"] * at["eyeLookOutRight"]).max() == 0.0
    assert min(at[f"eyeLook{way}Left"].max() for way in ("Out", "In")) > 0.3
    others = [i for i, name in enumerate(basis.coefficients) if not name.startswith("eyeLook")]
    assert (made.face[:, others] == 0.25).all()
    assert (chunk.face == 0.25).all()
    assert made.face.dtype == np.float32


def test_eyes_and_head_turn_to_the_side_that_is_looked_at() -> None:
    source = Gaze(GazeConfig(0.8), 5, ARKIT_51, FPS)
    wanted = np.array([source.next(f, voiced=True) for f in range(900)])
    made = Gaze(GazeConfig(0.8), 5, ARKIT_51, FPS).apply(still_chunk(900))
    joints = [SMPLX_55.index("neck"), SMPLX_55.index("head")]
    turned = np.asarray(log(made.rotations[:, joints].astype(float))).sum(1)
    np.testing.assert_allclose(turned[:, 1], wanted[:, 1, 0], atol=1e-4)  # about +y: to the left
    np.testing.assert_allclose(turned[:, 0], wanted[:, 1, 1], atol=1e-4)  # about +x: down
    assert 0.15 < np.abs(turned[:, 1]).max() < 0.5
    left = made.face[:, NAMES.index("eyeLookOutLeft")] * EYE_RADIANS
    np.testing.assert_allclose(left, np.maximum(wanted[:, 0, 0], 0.0), atol=1e-6)
    others = [joint for joint in range(55) if joint not in joints]
    np.testing.assert_array_equal(made.rotations[:, others], still_chunk(900).rotations[:, others])


def glancing() -> Bundle:
    return with_stages(gaze=GazeConfig(0.8))


def test_any_split_and_any_snapshot_look_alike() -> None:
    sound = babble(3.0)
    face = laws.split_law(Fed(glancing(), faces), sound)
    assert face[:, EYES].max() > 0.1, "the law was tried on no glance"
    laws.snapshot_law(Fed(glancing(), faces), sound, [0, 9000, 17000])


def test_held_hops_go_on_looking() -> None:
    stream = GestureStream(glancing())
    stream.feed_audio(babble(4.0))
    held: list[PoseChunk] = []
    while (chunk := stream.skip_chunk()) is not None:
        held.append(chunk)
    assert faces(held)[:, EYES].std(0).max() > 0.01


@pytest.mark.parametrize("away", [-0.1, 1.1, float("nan")])
def test_shares_out_of_range_are_refused(away: float) -> None:
    with pytest.raises(ConfigError, match="away_share must be 0 to 1"):
        GazeConfig(away)


def test_a_face_without_directions_is_refused() -> None:
    with pytest.raises(ConfigError, match="flame100 has no eyeLookOutLeft: leave `gaze` out"):
        Gaze(GazeConfig(), 0, FLAME_100, FPS)
