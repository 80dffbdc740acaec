"""Folding of the motion scaling into the first layer."""

import pytest
import torch

from engine.config.presets import live_config, paper_config
from engine.model.builders import build_gesture_model
from engine.model.types import WindowInputs
from training.data.normalize import fold, scaling_of, unfold


def test_scaled_motion_has_mean_0_and_deviation_1() -> None:
    motion = torch.randn(5000, 4) * torch.tensor([1.0, 5.0, 0.1, 0.0]) + 3.0
    scaled = scaling_of(motion).apply(motion)
    assert scaled.mean(0).abs().max() < 1e-3
    assert (scaled.std(0)[:3] - 1).abs().max() < 1e-3
    assert scaled.std(0)[3] == 0.0


CONFIGS = {
    "live": live_config(6, 10, width=16, codes=8, code_dim=6),
    "paper": paper_config(
        10, width=16, audio_width=8, motion_width=8, codes=8, code_dim=6, speakers=1
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_model_on_raw_motion_equals_model_on_scaled_motion(name: str) -> None:
    torch.manual_seed(0)
    config = CONFIGS[name]
    model = build_gesture_model(config).eval()
    motion = 0.3 * torch.randn(2, 12, 337) + torch.rand(337)
    scaling = scaling_of(motion.flatten(0, 1))
    mask = (torch.rand(2, 12, 1) < 0.5).float().expand(2, 12, 337)
    audio = torch.randn(2, 12, config.audio.channels)
    words = torch.zeros(2, 12, dtype=torch.int64)
    speaker = torch.zeros(2, dtype=torch.int64)
    learning = model(WindowInputs(scaling.apply(motion), mask, audio, words, speaker))
    shipped = fold(model, scaling)(WindowInputs(motion, mask, audio, words, speaker))
    for a, b in zip(learning.logits, shipped.logits, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    plain = model(WindowInputs(motion, mask, audio, words, speaker))
    assert not torch.allclose(plain.logits[1], shipped.logits[1], atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_unfold_inverts_fold(name: str) -> None:
    torch.manual_seed(0)
    model = build_gesture_model(CONFIGS[name]).eval()
    scaling = scaling_of(0.3 * torch.randn(50, 337) + torch.rand(337))
    again = unfold(fold(model, scaling), scaling).state_dict()
    for weight, value in model.state_dict().items():
        torch.testing.assert_close(again[weight], value, atol=1e-5, rtol=1e-4)
