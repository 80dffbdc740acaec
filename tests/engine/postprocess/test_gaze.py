"""Gaze: share of aversion, saccades, and the head that follows."""

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
from tests.support.postprocess_streams import StreamAdapter, faces, still_chunk, with_stages

FPS = 30
AWAY = 0.12  # radians; smaller angles count as the listener
NAMES = ARKIT_51.coefficients
EYES = [NAMES.index(name) for name in NAMES if name.startswith("eyeLook")]


def directions(
    seconds: float, *, away: float = 0.3, seed: int = 0, talk: bool = True
) -> np.ndarray:
    """Directions `[T, 2, 2]` of eyes and head, in phrases of 2.5 s or in silence."""
    gaze = Gaze(GazeConfig(away), seed, ARKIT_51, FPS)
    frames = range(int(seconds * FPS))
    return np.array([gaze.next(f, voiced=talk and f % 120 < 75) for f in frames])


def test_the_share_of_aversion_follows_the_setting() -> None:
    def share(away: float) -> float:
        yaw = np.concatenate([directions(300, away=away, seed=s).sum(1)[:, 0] for s in range(4)])
        return float((np.abs(yaw) > 2 * AWAY).mean())

    assert share(0.0) < 0.03
    assert 0.05 < share(0.3) < 0.3
    assert share(0.8) > share(0.3) + 0.1


def test_eyes_make_saccades_and_the_head_follows() -> None:
    made = directions(300)
    eyes, head = made[:, 0], made[:, 1]
    saccades = np.flatnonzero(np.abs(np.diff(made.sum(1)[:, 0])) > 0.15)
    assert len(saccades) > 10
    assert np.abs(np.diff(head, axis=0)).max() * FPS < 2.0
    assert np.abs(np.diff(head, 2, axis=0)).max() * FPS**2 < 25.0
    yaw = made.sum(1)[:, 0]
    fixed = np.abs(np.diff(yaw, prepend=yaw[0])) < 0.01
    assert fixed.mean() > 0.8  # fixations, not drift
    assert np.abs(eyes).max() <= 0.6
    assert np.corrcoef(yaw, head[:, 0])[0, 1] > 0.3


def test_gaze_leaves_at_phrase_starts_and_returns_at_phrase_ends() -> None:
    made = np.concatenate([directions(600, away=0.5, seed=s) for s in range(3)])
    yaw = np.abs(made.sum(1)[:, 0]).reshape(-1, 120)
    assert yaw[:, 15:30].mean() > 1.3 * yaw[:, 95:115].mean()


def test_later_speech_does_not_change_earlier_frames() -> None:
    quiet, other = (Gaze(GazeConfig(), 3, ARKIT_51, FPS) for _ in range(2))
    voiced = [f >= 200 and f % 40 < 20 for f in range(600)]
    one = np.array([quiet.next(f, voiced=False) for f in range(600)])
    two = np.array([other.next(f, voiced=voiced[f]) for f in range(600)])
    np.testing.assert_array_equal(one[:200], two[:200])
    assert not np.array_equal(one, two)
    assert not np.array_equal(directions(60, seed=1), directions(60, seed=2))


@pytest.mark.parametrize("basis", [ARKIT_51, ARKIT_52], ids=lambda basis: basis.name)
def test_both_eyes_have_the_same_direction_and_the_rest_of_the_face_is_kept(basis: Any) -> None:
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


def test_eyes_and_head_rotate_towards_the_target() -> None:
    source = Gaze(GazeConfig(0.8), 5, ARKIT_51, FPS)
    expected = np.array([source.next(f, voiced=True) for f in range(900)])
    made = Gaze(GazeConfig(0.8), 5, ARKIT_51, FPS).apply(still_chunk(900))
    joints = [SMPLX_55.index("neck"), SMPLX_55.index("head")]
    rotated = np.asarray(log(made.rotations[:, joints].astype(float))).sum(1)
    np.testing.assert_allclose(rotated[:, 1], expected[:, 1, 0], atol=1e-4)  # about +y: to the left
    np.testing.assert_allclose(rotated[:, 0], expected[:, 1, 1], atol=1e-4)  # about +x: down
    assert 0.15 < np.abs(rotated[:, 1]).max() < 0.5
    left = made.face[:, NAMES.index("eyeLookOutLeft")] * EYE_RADIANS
    np.testing.assert_allclose(left, np.maximum(expected[:, 0, 0], 0.0), atol=1e-6)
    others = [joint for joint in range(55) if joint not in joints]
    np.testing.assert_array_equal(made.rotations[:, others], still_chunk(900).rotations[:, others])


def with_gaze() -> Bundle:
    return with_stages(gaze=GazeConfig(0.8))


def test_the_streaming_laws_hold() -> None:
    sound = babble(3.0)
    face = laws.split_law(StreamAdapter(with_gaze(), faces), sound)
    assert face[:, EYES].max() > 0.1, "no gaze shift in the test"
    laws.snapshot_law(StreamAdapter(with_gaze(), faces), sound, [0, 9000, 17000])


def test_gaze_continues_in_held_hops() -> None:
    stream = GestureStream(with_gaze())
    stream.feed_audio(babble(4.0))
    held: list[PoseChunk] = []
    while (chunk := stream.skip_chunk()) is not None:
        held.append(chunk)
    assert faces(held)[:, EYES].std(0).max() > 0.01


@pytest.mark.parametrize("away", [-0.1, 1.1, float("nan")])
def test_shares_out_of_range_are_an_error(away: float) -> None:
    with pytest.raises(ConfigError, match="away_share must be 0 to 1"):
        GazeConfig(away)


def test_a_face_without_eye_directions_is_an_error() -> None:
    with pytest.raises(ConfigError, match="flame100 has no eyeLookOutLeft: leave `gaze` out"):
        Gaze(GazeConfig(), 0, FLAME_100, FPS)
