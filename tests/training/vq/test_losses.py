import numpy as np
import pytest
import torch

from engine.motion import rotation as rot
from engine.motion.channels import part_layout
from engine.motion.skeleton import PART_JOINTS, SMPLX_55, BodyPart
from training.vq.losses import (
    FootLoss,
    LossWeights,
    PartLoss,
    changes,
    geodesic,
    limb,
    matrices,
)


def _sixd(joints, angle, axis=(0.0, 0.0, 1.0), frames=8):
    q = rot.exp(torch.tensor(axis) * angle)
    return rot.to_sixd(q).repeat(1, frames, joints)


def test_matrices_equal_those_of_quaternions():
    q = rot.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(matrices(rot.to_sixd(q)), rot.to_matrix(q))


def test_geodesic_is_the_angle_and_has_a_gradient_at_zero():
    a, b = (matrices(_sixd(1, angle)).detach() for angle in (0.0, 0.7))
    torch.testing.assert_close(geodesic(a, b), torch.full((1, 8), 0.7), atol=1e-3, rtol=0)
    x = _sixd(1, 0.3).requires_grad_()
    geodesic(matrices(x), matrices(x.detach())).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_second_differences_of_a_line_are_zero():
    line = torch.arange(6.0)[None, :, None]
    assert changes(line, 2).abs().max() == 0
    assert changes(line, 1).shape == (1, 5, 1)


@pytest.mark.parametrize("part", [BodyPart.UPPER, BodyPart.HANDS, BodyPart.LOWER])
def test_points_agree_with_forward_kinematics(part):
    tree = limb(part)
    generator = torch.Generator().manual_seed(2)
    q = rot.normalize(torch.randn(1, 2, tree.joints, 4, generator=generator))
    tips = torch.tensor([1.0, 0, 0, 0]).expand(1, 2, len(tree.parents) - tree.joints, 4)
    expected, _ = rot.forward_kinematics(
        tree.parents, tree.offsets, torch.cat([q, tips], -2), torch.zeros(1, 2, 3)
    )
    torch.testing.assert_close(tree.points(rot.to_sixd(q).flatten(-2)), expected)


def test_wrists_weigh_more_than_the_spine():
    tree = limb(BodyPart.UPPER)
    wrist = PART_JOINTS[BodyPart.UPPER].index(SMPLX_55.index("left_wrist"))
    assert tree.weights[wrist] > tree.weights[0]


@pytest.mark.parametrize("part", list(BodyPart))
def test_loss_is_zero_for_equal_motion_only(part):
    width = part_layout(part, 51).width
    true = torch.rand(2, 8, width, generator=torch.Generator().manual_seed(4))
    compare = PartLoss(part, 51, LossWeights(), stretch=4)
    same = sum(compare(true, true, 2).values())
    other = compare(true + 0.1 * torch.randn(2, 8, width), true, 2)
    assert same < 0.001
    assert all(float(value) > 0.001 for value in other.values())


def test_jitter_costs_more_than_a_constant_shift():
    compare = PartLoss(BodyPart.FACE, 51, LossWeights(), stretch=4)
    true = torch.zeros(1, 8, 57)
    true[..., [0, 4]] = 1.0
    jitter = torch.tensor([1.0, -1.0]).repeat(4)[None, :, None] * 0.1
    assert compare(true + jitter, true, 0)["acceleration"] > compare(true + 0.1, true, 0)[
        "acceleration"
    ] + torch.tensor(0.1)


def test_feet_are_still_under_a_root_that_follows_them():
    feet_loss = FootLoss(fps=30.0)
    joints = len(PART_JOINTS[BodyPart.LOWER])
    feet = feet_loss.feet(_sixd(joints, 0.0)).clone()
    # Relative to the root the feet move back by 1 cm per frame, so the root moves at 0.3 m/s.
    feet[..., 2] -= 0.01 * torch.arange(8.0)[None, :, None]
    still, moving = torch.zeros(1, 8, 3), torch.zeros(1, 8, 3)
    moving[..., 2] = 0.3
    assert feet_loss.speeds(feet, moving).max() < 0.01
    torch.testing.assert_close(
        feet_loss.speeds(feet, still), torch.full((1, 7, 4), 0.3), atol=0.01, rtol=0
    )


def test_foot_positions_agree_with_forward_kinematics():
    feet = FootLoss(30.0).feet(_sixd(9, 0.0))
    positions, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, rot.identity(55), np.zeros(3, np.float32)
    )
    np.testing.assert_allclose(feet[0, 0], positions[[7, 8, 10, 11]], atol=1e-6)


def test_slowly_moving_foot_is_not_planted():
    feet_loss = FootLoss(fps=30.0)
    feet = feet_loss.feet(_sixd(len(PART_JOINTS[BodyPart.LOWER]), 0.0)).clone()
    feet[:, 4:, 0, 0] += 0.005 * torch.arange(1.0, 5.0)
    planted = feet_loss.planted(feet, torch.zeros(1, 8, 3))[0]
    assert planted[:, 0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert planted[:, 1:].min() == 1


@pytest.mark.parametrize("part", list(BodyPart))
def test_loss_is_computed_on_the_device_of_the_motion(part):
    """The meta device stands for a GPU: mixing it with the CPU fails."""
    meta = torch.device("meta")
    compare = PartLoss(part, 51, LossWeights(), 4).to(meta)
    motion = torch.empty(2, 8, part_layout(part, 51).width, device=meta)
    assert {term.device for term in compare(motion, motion, 1).values()} == {meta}


def test_foot_loss_is_computed_on_the_device_of_the_motion():
    meta = torch.device("meta")
    feet = FootLoss(30.0).to(meta)
    shown = feet.feet(torch.empty(1, 5, 54, device=meta))
    assert shown.device == meta
    assert feet.planted(shown, torch.empty(1, 5, 3, device=meta)).device == meta
