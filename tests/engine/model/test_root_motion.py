import numpy as np
import pytest
import torch

from engine.config.model import RootModelConfig
from engine.model.builders import build_root_model
from engine.model.root_motion import local_motion
from engine.motion.channels import joint_channels
from engine.motion.rotation import exp, identity


@pytest.mark.parametrize(
    ("layers", "causal", "expected"), [(4, False, (21, 21)), (2, True, (26, 0))]
)
def test_the_network_declares_its_context(
    layers: int, causal: bool, expected: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    config = RootModelConfig(6, out=3, width=8, layers=layers, causal=causal)
    model = build_root_model(config).double()
    lower = torch.randn(1, 61, 6, dtype=torch.float64, requires_grad=True)
    out = model(lower)
    assert out.shape == (1, 61, 3)
    out[0, 30].square().sum().backward()
    used = lower.grad[0].abs().sum(-1).nonzero().flatten()
    assert (30 - int(used.min()), int(used.max()) - 30) == expected
    assert (model.left_context, model.right_context) == expected


def test_the_papers_input_is_rotations_and_contacts() -> None:
    rotations = identity(2, 4, 55)
    knee = 4
    rotations[:, :, knee] = exp(np.array([0.0, 0.0, np.pi / 2], np.float32))
    contacts = np.random.default_rng(0).random((2, 4, 4), np.float32)
    vector = local_motion(rotations, contacts)
    assert vector.shape == (2, 4, 334)
    np.testing.assert_array_equal(vector[..., 330:], contacts)
    rest = np.delete(vector[..., :330], joint_channels([knee]), -1)
    np.testing.assert_array_equal(rest, np.tile([1, 0, 0, 0, 1, 0], (2, 4, 54)))
    turned = vector[0, 0, joint_channels([knee])]
    np.testing.assert_allclose(turned, [0, -1, 0, 1, 0, 0], atol=1e-6)
    tensor = local_motion(torch.from_numpy(rotations), torch.from_numpy(contacts))
    torch.testing.assert_close(tensor, torch.from_numpy(vector))
    network = build_root_model(RootModelConfig(334, width=8))
    assert network(tensor).shape == (2, 4, 3)
