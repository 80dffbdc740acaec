"""Gestures laid over idles: hands rise after the phrase began and strokes follow the stresses."""

import numpy as np
import pytest

from bench.strokes import stroke_times, wrist_speed
from engine.errors import ConfigError
from engine.rotation import angle, exp, forward_kinematics, identity
from engine.skeleton import SMPLX_55
from training.blend import Clip, ease
from training.layers import FPS, Body, ClipLibrary, enliven, idle_body, lay_gestures, time_unit
from training.plan import GestureUnit, Stress

STRESSES = (Stress(2.6, 1.0, "one"), Stress(3.8, 0.6, "two"))
UNIT = GestureUnit(1.5, 4.6, "beat_mid", STRESSES, True)


def hanging(frames: int) -> np.ndarray:
    rotations = identity(frames, 55)
    for joint, side in ((16, -1.0), (17, 1.0)):
        rotations[:, joint] = exp(np.array([0, 0, side * 1.3], np.float32))
    return rotations


def gesture(frames: int = 90) -> np.ndarray:
    """Both forearms rise to the front and stay."""
    rotations = hanging(frames)
    way = ease(np.linspace(0, 3, frames))[:, None]
    for elbow, side in ((18, -1.0), (19, 1.0)):
        rotations[:, elbow] = exp((way * np.array([0, side * 1.7, 0])).astype(np.float32))
    return rotations


def clip(rotations: np.ndarray, use: str, family: str = "") -> Clip:
    frames = len(rotations)
    travel = np.tile(np.array([0.0, 1.28, 0.0], np.float32), (frames, 1))
    contacts = np.ones((frames, 4), np.float32)
    return Clip(family or use, rotations, travel, contacts, use, "train", family, "both", "A")


@pytest.fixture
def library() -> ClipLibrary:
    return ClipLibrary([clip(hanging(600), "idle"), clip(gesture(), "gesture", "BeatMid")], "train")


def speed(body: Body) -> np.ndarray:
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, body.rotations, body.translation
    )
    return wrist_speed(positions, FPS)


def test_a_library_without_clips_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="clips stage"):
        ClipLibrary([clip(hanging(10), "idle")], "train")


def test_idles_join_without_jumps(library: ClipLibrary) -> None:
    body = idle_body(library, 2000, np.random.default_rng(0))
    assert body.rotations.shape == (2000, 55, 4)
    assert np.abs(np.linalg.norm(body.rotations, axis=-1) - 1).max() < 1e-5
    assert angle(body.rotations[1:], body.rotations[:-1]).max() < 0.1


def test_strokes_follow_the_stresses_and_rest_is_still(library: ClipLibrary) -> None:
    generator = np.random.default_rng(0)
    body = idle_body(library, 8 * FPS, generator)
    lay_gestures(body, [UNIT], library, generator)
    rates = speed(body)
    assert rates[: int(1.5 * FPS)].max() < 0.05
    assert rates[int(6.5 * FPS) :].max() < 0.05
    strokes = stroke_times(rates, FPS, 0.4)
    for stress in STRESSES:
        assert np.abs(strokes - (stress.time + 0.09)).min() < 0.08
    assert rates.max() < 2.5


def test_nothing_moves_before_it_could_be_heard(library: ClipLibrary) -> None:
    for seed in range(20):
        timing = time_unit(UNIT, 0.4, np.random.default_rng(seed))
        assert timing.rise > UNIT.start
        assert timing.sink > UNIT.end + 0.25
        for begin, landing, _ in timing.strokes:
            near = min(STRESSES, key=lambda s: abs(landing - s.time))
            assert begin > near.time - 0.04
            assert 0.15 < landing - near.time < 0.25


def test_heads_nod_on_stresses(library: ClipLibrary) -> None:
    body = idle_body(library, 6 * FPS, np.random.default_rng(0))
    plain = body.rotations.copy()
    enliven(body, [Stress(3.0, 1.0, "x")], np.random.default_rng(0))
    tilt = angle(body.rotations[:, 15], plain[:, 15])
    calm = Body(plain, body.translation, body.contacts)
    enliven(calm, [], np.random.default_rng(0))
    without = angle(calm.rotations[:, 15], plain[:, 15])
    assert tilt[int(3.13 * FPS)] > without[int(3.13 * FPS)] + 0.02
