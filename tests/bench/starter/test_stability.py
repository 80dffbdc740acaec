"""Stability and copying of motion with known properties."""

from dataclasses import replace

import numpy as np
import pytest

from bench.starter import stability as endurance
from bench.starter.stability import copying, nearest_to_itself, stability
from engine.motion.pose import Motion
from tests.support.training_fixtures import waving


def test_even_motion_is_stable_and_fading_motion_is_not() -> None:
    even = waving(1, 120 * 30)
    found = stability(even)
    assert found["minutes"] == pytest.approx(2.0)
    assert found["wrist variance of a minute, farthest from the mean"] < 0.15
    poses = replace(even.poses, rotations=even.poses.rotations.copy())
    poses.rotations[60 * 30 :] = poses.rotations[60 * 30]
    dying = stability(Motion(even.format, poses))
    assert dying["wrist variance of a minute, farthest from the mean"] == pytest.approx(1.0)


def test_the_root_is_followed_over_minutes() -> None:
    motion = waving(1, 120 * 30)
    motion.poses.translation[60 * 30 :, 2] += 3.0
    assert stability(motion)["root, first to last minute m"] == pytest.approx(3.0, abs=0.02)
    assert stability(waving(1, 60)) == {}


def test_a_copy_is_near_its_clip_and_new_motion_is_not() -> None:
    clip, other = waving(1, 90), waving(2, 90)
    copied = copying([clip], [clip, waving(3, 90)])
    assert copied["nearest training clip, median m"] == pytest.approx(0.0, abs=1e-5)
    assert copied["seconds nearer than 2 cm to a clip"] == 1.0
    assert copying([clip, other], [clip])["seconds nearer than 2 cm to a clip"] == 0.5
    assert "seconds that are repeated within 1 cm" not in copied, "too short to repeat itself"


def test_a_loop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endurance, "_APART_S", 2.0)
    once = waving(1, 120)
    poses = once.poses
    twice = Motion(
        once.format,
        replace(
            poses,
            **{
                name: np.concatenate([getattr(poses, name)] * 2)
                for name in ("rotations", "translation", "contacts", "face")
            },
        ),
    )
    assert np.median(nearest_to_itself(twice)) < 0.01
    assert np.median(nearest_to_itself(waving(1, 240))) > np.median(nearest_to_itself(twice))
