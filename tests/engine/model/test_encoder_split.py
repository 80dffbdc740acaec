"""A split encoder equals the whole one; the stem has the declared receptive field."""

import pytest
import torch

from engine.model.builders import build_gesture_model
from engine.model.encoder_split import STRIDE, receptive_field, split_encoder, stem_length
from engine.model.fuse import fuse_for_inference
from tests.engine.model.test_fuse import max_difference, with_trained_statistics
from tests.engine.model.test_gesture import CONFIGS, window

WAVEFORM = "audio"


def test_stem_steps_are_thirty_samples_apart() -> None:
    assert STRIDE == 30
    assert stem_length(34112) == 1241


@pytest.mark.parametrize("newest", [None, 2])
def test_stem_and_remainder_equal_the_whole_model(newest: int | None) -> None:
    network, inputs = (
        fuse_for_inference(with_trained_statistics(WAVEFORM)),
        window(CONFIGS[WAVEFORM], 16),
    )
    inputs = inputs._replace(audio=inputs.audio[..., None])
    split = split_encoder(network)
    assert split is not None
    stem, remainder = split
    with torch.inference_mode():
        expected = network(inputs, newest=newest)
        steps = stem(inputs.audio)
        actual = remainder(inputs._replace(audio=steps), newest=newest)
    assert len(steps) == len(inputs.speaker)
    assert steps.shape[2] == stem_length(inputs.audio.shape[1])
    assert max_difference(expected, actual) == 0.0


def test_a_step_depends_only_on_its_receptive_field() -> None:
    split = split_encoder(fuse_for_inference(with_trained_statistics(WAVEFORM)))
    assert split is not None
    stem, _ = split
    begin, end = receptive_field()
    torch.manual_seed(0)
    sound = torch.randn(1, 9000, 1)
    with torch.inference_mode():
        before = stem(sound)
        for sample in (4000, 4001, 4017, 4029):
            other = sound.clone()
            other[:, sample] += 1.0
            changed = (stem(other) != before).any(1)[0].nonzero()[:, 0]
            # step k depends on samples from k * STRIDE + begin to before k * STRIDE + end
            assert int(changed[0]) >= (sample - end) // STRIDE + 1
            assert int(changed[-1]) <= (sample - begin) // STRIDE
            assert len(changed) > (end - begin) // STRIDE - 4


def test_only_waveform_models_are_split() -> None:
    splits = {
        name: split_encoder(fuse_for_inference(build_gesture_model(CONFIGS[name])))
        for name in CONFIGS
    }
    assert splits[WAVEFORM] is not None
    assert any(split is None for split in splits.values())
