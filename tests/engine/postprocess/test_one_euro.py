"""The One-Euro filter removes jitter and keeps strokes, with little delay."""

from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.motion.pose import FloatArray, FrameFlag, PoseChunk
from engine.motion.rotation import exp, log
from engine.motion.skeleton import PART_JOINTS, BodyPart
from engine.postprocess.one_euro import JOINTS, OneEuroConfig, OneEuroFilter

FPS = 30
WRIST = JOINTS.index(20)


def rotated(angles: np.ndarray) -> FloatArray:
    """Frames `[T, 55, 4]` with all joints rotated about x by `angles` `[T]`."""
    vectors = np.zeros((len(angles), 55, 3), np.float32)
    vectors[..., 0] = angles[:, None]
    return np.asarray(exp(vectors), np.float32)


def chunk(rotations: FloatArray, first: int = 0) -> PoseChunk:
    count = len(rotations)
    zeros: dict[str, Any] = {
        name: np.zeros((count, width), np.float32)
        for name, width in (("translation", 3), ("contacts", 4), ("face", 51))
    }
    return PoseChunk(first, rotations, **zeros, flags=(FrameFlag.NONE,) * count)


def filtered(angles: np.ndarray, config: OneEuroConfig) -> np.ndarray:
    """Filtered angles `[T, 55]` about x."""
    out = OneEuroFilter(config, FPS).apply(chunk(rotated(angles))).rotations
    return np.asarray(log(out)[..., 0])


def jerk(angles: np.ndarray) -> float:
    return float(np.abs(np.diff(angles, 3, axis=0)).mean())


def test_jitter_is_removed() -> None:
    jitter = 0.03 * np.random.default_rng(0).standard_normal(300)
    made = filtered(jitter, OneEuroConfig())
    assert jerk(made[:, 20]) < 0.5 * jerk(jitter)
    legs = list(PART_JOINTS[BodyPart.LOWER])
    np.testing.assert_allclose(made[:, legs], np.tile(jitter[:, None], len(legs)), atol=1e-5)


def test_a_stroke_is_kept_with_little_delay() -> None:
    times = np.arange(60) / FPS
    stroke = 1.2 / (1 + np.exp(-(times - 1.0) / 0.04))  # 1.2 rad in a quarter of a second
    made = filtered(stroke, OneEuroConfig())[:, 20]
    assert made[-1] == pytest.approx(1.2, abs=0.01)
    delay = np.interp(0.6, made, times) - np.interp(0.6, stroke, times)
    assert 0 < delay < 0.025, "less than a frame"
    without_beta = filtered(stroke, OneEuroConfig(beta=0.0))[:, 20]
    assert np.interp(0.6, without_beta, times) - np.interp(0.6, stroke, times) > 1.5 * delay


def test_the_gain_amplifies_motion_but_not_posture() -> None:
    times = np.arange(900) / FPS
    beats = 0.2 * np.sin(2 * np.pi * 1.5 * times)
    plain, larger = (
        filtered(0.5 + beats, OneEuroConfig(amplitude_gain=e))[450:, 20] for e in (0.0, 0.5)
    )
    assert larger.std() == pytest.approx(1.5 * plain.std(), rel=0.05)
    assert larger.mean() == pytest.approx(plain.mean(), abs=0.01)
    still = filtered(np.full(60, 0.7), OneEuroConfig(amplitude_gain=1.0))[:, 20]
    np.testing.assert_allclose(still, 0.7, atol=1e-4)


def test_chunks_do_not_change_the_result_and_the_input_is_kept() -> None:
    rng = np.random.default_rng(1)
    frames = rotated(np.cumsum(0.1 * rng.standard_normal(40)))
    before = frames.copy()
    whole = OneEuroFilter(OneEuroConfig(), FPS).apply(chunk(frames)).rotations
    source = OneEuroFilter(OneEuroConfig(), FPS)
    cuts = (0, 1, 3, 9, 40)
    pieces = [
        source.apply(chunk(frames[a:b], a)).rotations
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)  # noqa: RUF007
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(frames, before)


def test_a_quaternion_and_its_negative_give_the_same_rotation() -> None:
    frames = rotated(np.linspace(0, 0.3, 30))
    flipped = frames.copy()
    flipped[::2] *= -1
    made = [
        OneEuroFilter(OneEuroConfig(), FPS).apply(chunk(x)).rotations for x in (frames, flipped)
    ]
    np.testing.assert_allclose(np.abs((made[0] * made[1]).sum(-1)), 1.0, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"min_cutoff_hz": 0.0}, {"beta": -1.0}, {"amplitude_gain": 1.5}])
def test_settings_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OneEuroConfig(**wrong)
