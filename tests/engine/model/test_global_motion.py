import pytest
import torch

from engine.config import GlobalMotionConfig
from engine.model.builders import build_global_motion


@pytest.mark.parametrize(
    ("layers", "causal", "expected"), [(4, False, (21, 21)), (2, True, (26, 0))]
)
def test_it_sees_what_it_declares(layers: int, causal: bool, expected: tuple[int, int]) -> None:
    torch.manual_seed(0)
    config = GlobalMotionConfig(6, out=3, width=8, layers=layers, causal=causal)
    model = build_global_motion(config).double()
    lower = torch.randn(1, 61, 6, dtype=torch.float64, requires_grad=True)
    out = model(lower)
    assert out.shape == (1, 61, 3)
    out[0, 30].square().sum().backward()
    seen = lower.grad[0].abs().sum(-1).nonzero().flatten()
    assert (30 - int(seen.min()), int(seen.max()) - 30) == expected
    assert (model.left_context, model.right_context) == expected
