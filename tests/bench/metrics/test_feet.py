from pathlib import Path

import numpy as np
import pytest

from bench.metrics.feet import (
    ANKLES,
    FEET,
    floor_of,
    planted,
    planted_speeds,
    skate_ratio,
    sliding_speed,
    steps,
    steps_per_minute,
)

FPS = 30.0


def standing(frames: int = 61) -> np.ndarray:
    return np.zeros((frames, 55, 3))


def test_standing_feet_neither_slide_nor_step():
    positions = standing()
    assert skate_ratio(positions, FPS) == 0.0
    assert sliding_speed(positions, FPS) == 0.0
    assert steps_per_minute(positions, FPS) == 0.0
    assert planted(positions).all()
    assert not planted_speeds(positions[:1], FPS).size
    for measure in (skate_ratio, sliding_speed, steps_per_minute):
        assert measure(positions[:1], FPS) == 0.0


def test_a_foot_that_runs_on_the_floor_slides():
    positions = standing()
    # 0.6 m/s from frame 20 to frame 40; the mean over five frames is too slow at both ends:
    # (3 of 5) * 0.6 = 0.36 and 0.48 for the first two and the last two of the twenty.
    positions[:, FEET[0], 0] = 0.02 * np.clip(np.arange(61) - 20, 0, 20)
    assert skate_ratio(positions, FPS) == pytest.approx(16 / 60)
    # One of two feet, 20 of 60 frames, 0.6 m/s.
    assert sliding_speed(positions, FPS) == pytest.approx(0.6 * 20 / 120)
    # Below 0.5 m/s nothing slides.
    assert skate_ratio(0.8 * positions, FPS) == 0.0


def test_a_lifted_foot_does_not_slide():
    positions = standing()
    positions[:, FEET[0], 2] = 0.03 * np.clip(np.arange(61) - 20, 0, 20)
    assert skate_ratio(positions, FPS) > 0
    positions[18:43, FEET[0], 1] = 0.06
    assert skate_ratio(positions, FPS) == 0.0


def test_steps_are_counted_for_each_foot():
    positions = standing(91)
    for foot, at in ((0, 10), (1, 30), (0, 60)):
        positions[at + 8 :, ANKLES[foot], 0] += 0.16
        positions[at : at + 8, ANKLES[foot], 0] += 0.02 * np.arange(8)
    assert steps(positions, FPS) == 3
    # The 90 movements between frames take three seconds.
    assert steps_per_minute(positions, FPS) == pytest.approx(60.0)
    counted = np.arange(91) < 50
    assert steps(positions, FPS, counted) == 2
    # Steps of 4 cm only shift the weight.
    assert steps(0.25 * positions, FPS) == 0


def test_a_slow_foot_makes_no_step():
    positions = standing()
    positions[:, ANKLES[0], 0] = 0.2 * np.arange(61) / FPS
    assert steps(positions, FPS) == 0


def test_a_swing_that_comes_to_a_halt_and_back_is_two_steps():
    positions = standing()
    positions[20:40, ANKLES[0], 0] = 0.3 * np.sin(np.linspace(0, np.pi, 20))
    assert steps(positions, FPS) == 2


def test_the_floor_is_below_the_feet():
    positions = standing(100)
    positions[:, list(FEET), 1] = 0.3
    positions[:20, FEET[0], 1] = 0.1
    assert floor_of(positions) == pytest.approx(0.1)


@pytest.mark.reference
def test_a_recorded_speaker_slides_about_as_much_as_published(shared_dir: Path) -> None:
    """Published for BEATX: 0.087. This take steps often."""
    from bench.metrics.kinematics import world_positions
    from training.sources.beat2 import read_beat2, to_motion

    take = shared_dir / "data" / "beat2" / "2_scott_0_1_1.npz"
    positions = world_positions(to_motion(read_beat2(take)))
    assert 0.05 < skate_ratio(positions, FPS) < 0.12
    assert 20 < steps_per_minute(positions, FPS) < 120
