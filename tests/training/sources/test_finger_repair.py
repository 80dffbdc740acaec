import numpy as np

from engine.motion import rotation as rot
from training.sources.finger_repair import jumping_spans, repair_fingers


def _turning(frames=40, flipped=range(15, 22)):
    angles = np.linspace(0.0, 0.5, frames)
    angles[list(flipped)] += 1.5
    return rot.exp(np.stack([angles, 0 * angles, 0 * angles], -1))


def test_a_flip_and_its_return_are_one_span():
    assert jumping_spans(_turning(), gap=10) == [(13, 23)]


def test_a_calm_finger_is_left_alone():
    calm = _turning(flipped=[])[:, None]
    np.testing.assert_array_equal(repair_fingers(calm, [0]), calm)


def test_a_flipped_finger_glides_across():
    jumpy = _turning()[:, None]
    repaired = repair_fingers(jumpy, [0])
    steps = rot.angle(repaired[:-1, 0], repaired[1:, 0])
    assert steps.max() < 0.1
    np.testing.assert_array_equal(repaired[:13], jumpy[:13])
    np.testing.assert_array_equal(repaired[24:], jumpy[24:])


def test_other_joints_keep_their_jumps():
    jumpy = _turning()[:, None]
    np.testing.assert_array_equal(repair_fingers(jumpy, []), jumpy)
