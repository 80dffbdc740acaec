"""Posture offsets rotate the named joints only."""

import numpy as np
import pytest

from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.motion.rotation import exp, forward_kinematics, inverse, log, multiply
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.posture import Posture, PostureConfig
from tests.support.postprocess_streams import still_chunk

HEAD, NECK = SMPLX_55.index("head"), SMPLX_55.index("neck")
EYE = SMPLX_55.index("left_eye")


def test_joints_rotate_by_their_offsets() -> None:
    chunk = still_chunk(4)
    vectors = np.random.default_rng(0).normal(0, 0.5, (4, 55, 3))
    chunk.rotations[:] = exp(vectors)
    before = chunk.rotations.copy()
    made = Posture(PostureConfig({"head": (-10.0, 0.0, 3.0), "neck": (0.0, 5.0, 0.0)})).apply(chunk)
    np.testing.assert_array_equal(chunk.rotations, before)
    offsets = np.degrees(log(multiply(inverse(before), made.rotations)))
    np.testing.assert_allclose(offsets[:, HEAD], np.tile([-10.0, 0.0, 3.0], (4, 1)), atol=1e-3)
    np.testing.assert_allclose(offsets[:, NECK], np.tile([0.0, 5.0, 0.0], (4, 1)), atol=1e-3)
    others = np.delete(np.arange(55), [NECK, HEAD])
    np.testing.assert_array_equal(made.rotations[:, others], before[:, others])


@pytest.mark.parametrize(
    ("angles", "axis", "sign"),
    [((20.0, 0.0, 0.0), 2, 1), ((0.0, 20.0, 0.0), 0, 1), ((0.0, 0.0, 20.0), 0, -1)],
    ids=["X forward", "Y to the left", "Z to the right"],
)
def test_the_axes_are_as_documented(angles, axis, sign) -> None:
    """An offset moves points above or in front of the joint forward, left or right."""
    eyes = []
    for offsets in ({}, {"head": angles}):
        made = Posture(PostureConfig(offsets)).apply(still_chunk(1))
        places, _ = forward_kinematics(
            SMPLX_55.parents, SMPLX_55.offsets, made.rotations[0], np.zeros(3, np.float32)
        )
        eyes.append(places[EYE] - places[HEAD])
    assert sign * (eyes[1] - eyes[0])[axis] > 0.01


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ({"left_knee": [5, 0, 0]}, "offsets_deg must be of spine1, .*head, got 'left_knee'"),
        ({"head": [45, 0, 0]}, r"offsets_deg.head must be within 30 degrees, got \(45.0"),
        ({"head": [5, 0]}, "expected 3 values, got 2"),
    ],
)
def test_invalid_offsets_are_an_error(offsets, message) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(PostureConfig, {"offsets_deg": offsets})
