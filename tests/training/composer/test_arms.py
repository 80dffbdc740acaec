"""Gesture phases: preparation after phrase start, strokes on stresses, hold, retraction."""

from dataclasses import replace

import numpy as np
import pytest

from bench.metrics.strokes import stroke_times, wrist_speed
from engine.motion.rotation import exp, forward_kinematics, identity, multiply
from engine.motion.skeleton import SMPLX_55
from tests.support.figures import small_library
from training.composer.arm_poses import TORSO
from training.composer.arms import JOINTS, Arms, Hands, animate_arms
from training.composer.library import FPS
from training.composer.plan import GestureUnit, Stress
from training.composer.style import LIVELY

STRESSES = (Stress(2.8, 1.0, "one"), Stress(4.0, 0.6, "two"))
UNIT = GestureUnit(1.5, 4.6, "beat_mid", STRESSES, silence=5.0, rest_s=0.6)
LIBRARY = small_library()


def laid(seed: int, units: tuple[GestureUnit, ...] = (UNIT,), frames: int = 300) -> Arms:
    return animate_arms(units, [], LIBRARY, LIVELY, frames, np.random.default_rng(seed))


def speed(arms: Arms) -> np.ndarray:
    rotations = identity(len(arms.rotations), 55)
    rotations[:, list(JOINTS)] = arms.rotations
    rotations[:, list(TORSO)] = identity()
    travel = np.zeros((len(rotations), 3), np.float32)
    points = forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, rotations, travel)[0]
    return wrist_speed(points, FPS)


@pytest.mark.parametrize("seed", range(6))
def test_strokes_peak_on_the_stressed_vowels(seed: int) -> None:
    made = laid(seed)
    rates = speed(made)
    assert [landing.stress for landing in made.landings] == list(STRESSES)
    for landing in made.landings:
        assert -0.15 < landing.begin - landing.stress.time < 0.06
        assert 0.12 < landing.time - landing.stress.time < 0.35
        around = slice(int((landing.begin - 0.1) * FPS), int((landing.time + 0.1) * FPS))
        assert rates[around].max() > 0.5
    assert rates.max() < 4.0


def test_strokes_may_land_sooner() -> None:
    style = replace(LIVELY, stroke_lead_s=0.1)
    early = animate_arms((UNIT,), [], LIBRARY, style, 300, np.random.default_rng(0)).landings
    for before, after in zip(early, laid(0).landings, strict=True):
        assert after.time - before.time == pytest.approx(0.1, abs=1e-6)


def test_at_high_determinism_only_strokes_are_fast() -> None:
    """A recoil or retraction as fast as a stroke would be learned as a stroke."""
    fast = []
    for determinism in (0.0, 0.65):
        away = []
        for seed in range(8):
            made = animate_arms(
                (UNIT,),
                [],
                LIBRARY,
                replace(LIVELY, determinism=determinism),
                300,
                np.random.default_rng(seed),
            )
            strokes = [(landing.begin, landing.time) for landing in made.landings]
            away += [
                t
                for t in stroke_times(speed(made), FPS)
                if t > strokes[0][0] and not any(a - 0.1 < t < b + 0.1 for a, b in strokes)
            ]
        fast.append(len(away))
    assert fast[1] < 0.6 * fast[0]


@pytest.mark.parametrize("seed", range(6))
def test_hands_rest_before_the_phrase_and_after_the_silence(seed: int) -> None:
    rates = speed(laid(seed))
    assert rates[: int(1.5 * FPS)].max() < 0.05
    assert rates[int(7.2 * FPS) :].max() < 0.05
    late = int(4.6 * FPS)
    assert rates[late : late + int(1.8 * FPS)].max() > 0.1  # down again, but not at once


def test_a_stress_too_early_for_resting_hands_is_marked_as_they_arrive() -> None:
    early = GestureUnit(1.0, 3.0, "beat_mid", (Stress(1.25, 1.0, "go"),), silence=4.0)
    made = laid(0, (early,))
    assert all(landing.begin > 1.0 for landing in made.landings)
    assert speed(made)[int(1.0 * FPS) : int(2.0 * FPS)].max() > 0.5


@pytest.mark.parametrize(("silence", "raised"), [(0.3, True), (5.0, False)])
def test_no_retraction_when_the_next_phrase_follows_soon(silence: float, raised: bool) -> None:
    hands = Hands(LIBRARY, LIVELY, np.random.default_rng(3))
    hands.perform(replace(UNIT, silence=silence))
    assert hands.raised is raised
    assert (hands.goal is hands.rest) is not raised


def test_waiting_hands_wander_until_the_next_stroke() -> None:
    late = replace(UNIT, end=9.0, strokes=(*STRESSES, Stress(8.0, 1.0, "three")))
    made = laid(0, (late,))
    waiting = speed(made)[int(4.6 * FPS) : int(7.2 * FPS)]
    assert waiting.mean() > 0.1
    assert [landing.stress.time for landing in made.landings] == [2.8, 4.0, 8.0]


def test_no_move_is_faster_for_being_broken_off() -> None:
    close = tuple(Stress(2.5 + 0.5 * i, 0.9, "x") for i in range(6))
    made = laid(1, (GestureUnit(1.0, 6.0, "beat_mid", close, silence=3.0),))
    assert np.isfinite(made.rotations).all()
    assert speed(made).max() < 4.0
    assert np.abs(np.linalg.norm(made.rotations, axis=-1) - 1).max() < 1e-4


def test_the_trunk_follows_as_a_turn_to_be_added() -> None:
    torso = laid(0).rotations[0, : len(TORSO)]
    assert multiply(torso, exp(np.zeros((len(TORSO), 3)))) == pytest.approx(identity(len(TORSO)))
