"""With loaded weights, networks built without initialisation equal initialised ones."""

import torch
from torch import nn

from engine.config.presets import published_audio_config
from engine.model.builders import build_gesture_model
from engine.model.skip_init import SkipInit

SIZES = {"width": 16, "audio_width": 8, "motion_width": 8, "codes": 24, "code_dim": 8}


def test_skip_init_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    with SkipInit():
        build_gesture_model(published_audio_config(**SIZES))
    assert torch.equal(torch.get_rng_state(), state)
    nn.Linear(2, 2)
    assert not torch.equal(torch.get_rng_state(), state)


def test_loaded_weights_replace_all_parameters_and_buffers() -> None:
    config = published_audio_config(**SIZES)
    full = build_gesture_model(config)
    with SkipInit():
        other = build_gesture_model(config)
    other.load_state_dict(full.state_dict())
    for name, buffer in full.named_buffers():
        assert torch.equal(dict(other.named_buffers())[name], buffer), name
    for name, parameter in full.named_parameters():
        assert torch.equal(dict(other.named_parameters())[name], parameter), name
