"""LSUV initialisation."""

import torch

from engine.config.presets import live_config
from engine.model.builders import build_gesture_model
from engine.model.types import WindowInputs
from training.gesture.lsuv_init import initialize_unit_variance


def test_initialised_model_depends_on_motion_and_audio() -> None:
    torch.manual_seed(0)
    model = build_gesture_model(live_config(6, 10, width=16, codes=8, code_dim=6)).eval()
    mask = torch.zeros(4, 12, 337)
    words, speaker = torch.zeros(4, 12, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)
    inputs = WindowInputs(torch.randn(4, 12, 337), mask, torch.randn(4, 12, 6), words, speaker)

    def changes() -> tuple[float, float]:
        before = model(inputs).logits[1]
        moved = model(inputs._replace(motion=torch.randn(4, 12, 337))).logits[1]
        spoken = model(inputs._replace(audio=torch.randn(4, 12, 6))).logits[1]
        return tuple(float((x - before).std() / before.std()) for x in (moved, spoken))

    default = changes()
    initialize_unit_variance(model, inputs)
    initialized = changes()
    assert initialized[0] > 3 * default[0]
    assert initialized[1] > 0.2
