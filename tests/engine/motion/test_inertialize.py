import numpy as np

from engine.generate.emit import SEAM_HALF_LIFE_S
from engine.motion import inertialize as smoothing
from engine.motion.rotation import angle, exp, identity, multiply

HALF_LIFE = 2.25
RNG = np.random.default_rng(0)


def test_a_zero_offset_does_not_change_frames() -> None:
    frames = RNG.standard_normal((7, 5)).astype(np.float32)
    offset = smoothing.linear_offset(frames[:2], frames[:2].copy())
    np.testing.assert_array_equal(smoothing.add_linear(frames, offset, HALF_LIFE), frames)
    turns = exp(RNG.standard_normal((7, 5, 3))).astype(np.float32)
    turn = smoothing.rotation_offset(turns[:2], turns[:2].copy())
    np.testing.assert_allclose(smoothing.add_rotation(turns, turn, HALF_LIFE), turns, atol=1e-6)


def test_a_step_decays_smoothly() -> None:
    emitted, redecoded = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    offset = smoothing.linear_offset(emitted, redecoded)
    out = smoothing.add_linear(np.zeros((30, 1), np.float32), offset, HALF_LIFE)[:, 0]
    steps = np.diff(np.concatenate([[1.0], out]))
    assert (steps < 0).all()
    assert abs(steps).max() < 0.25
    assert abs(out[-1]) < 1e-4


def test_an_offset_decays_within_300_ms() -> None:
    frames = np.array([0.3 * 30], np.float32)
    offset = smoothing.Offset(np.ones(1, np.float32), np.zeros(1, np.float32))
    assert smoothing.decay(offset, frames, SEAM_HALF_LIFE_S * 30)[0, 0] < 0.03


def test_velocity_is_continuous_at_a_seam() -> None:
    """The emitted motion moves, the new window is at rest: the offset has the old velocity."""
    emitted, redecoded = np.array([[0.0], [0.1]], np.float32), np.zeros((2, 1), np.float32)
    offset = smoothing.linear_offset(emitted, redecoded)
    fine = smoothing.decay(offset, np.array([0.0, 1e-3], np.float32), HALF_LIFE)[:, 0]
    np.testing.assert_allclose(fine[0], 0.1, atol=1e-6)
    np.testing.assert_allclose((fine[1] - fine[0]) / 1e-3, 0.1, atol=1e-3)


def test_decay_scales_with_the_half_life() -> None:
    offset = smoothing.Offset(np.ones(3, np.float32), np.zeros(3, np.float32))
    slow = smoothing.decay(offset, np.array([4.0], np.float32), 4.0)
    fast = smoothing.decay(offset, np.array([2.0], np.float32), 2.0)
    np.testing.assert_allclose(slow, fast, rtol=1e-6)
    assert slow.shape == (1, 3)


def test_a_rotation_offset_decays_smoothly() -> None:
    frames = identity(40, 2)
    turn = exp(np.array([0.0, 1.2, 0.0])).astype(np.float32)
    emitted = multiply(np.broadcast_to(turn, (2, 2, 4)), frames[:2])
    offset = smoothing.rotation_offset(emitted, frames[:2])
    out = smoothing.add_rotation(frames, offset, HALF_LIFE)
    assert angle(out[0], emitted[1]).max() < 0.25 * 1.2
    assert (angle(out[1:], out[:-1]) < 0.25 * 1.2).all()
    assert angle(out[-1], frames[-1]).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), 1.0, atol=1e-6)
