"""The first blocks apart from the rest are the whole, and see what they say they see."""

import pytest
import torch

from engine.model.builders import build_gesture_model
from engine.model.encoder_split import STRIDE, receptive_field, split_encoder, stem_length
from engine.model.fuse import fuse_for_inference
from tests.engine.model.test_fuse import farthest, shaken
from tests.engine.model.test_gesture import CONFIGS, window

WAVES = "audio"


def test_entries_lie_on_a_grid_of_thirty_samples() -> None:
    assert STRIDE == 30
    assert stem_length(34112) == 1241


@pytest.mark.parametrize("newest", [None, 2])
def test_both_parts_together_are_the_whole(newest: int | None) -> None:
    network, inputs = fuse_for_inference(shaken(WAVES)), window(CONFIGS[WAVES], 16)
    inputs = inputs._replace(audio=inputs.audio[..., None])
    split = split_encoder(network)
    assert split is not None
    first, later = split
    with torch.inference_mode():
        expected = network(inputs, newest=newest)
        entries = first(inputs.audio)
        got = later(inputs._replace(audio=entries), newest=newest)
    assert len(entries) == len(inputs.speaker)
    assert entries.shape[2] == stem_length(inputs.audio.shape[1])
    assert farthest(expected, got) == 0.0


def test_an_entry_sees_no_sample_but_those_it_says() -> None:
    split = split_encoder(fuse_for_inference(shaken(WAVES)))
    assert split is not None
    first, _ = split
    begin, end = receptive_field()
    torch.manual_seed(0)
    sound = torch.randn(1, 9000, 1)
    with torch.inference_mode():
        before = first(sound)
        for sample in (4000, 4001, 4017, 4029):
            other = sound.clone()
            other[:, sample] += 1.0
            changed = (first(other) != before).any(1)[0].nonzero()[:, 0]
            # Entry k sees samples from k * STRIDE + begin to before k * STRIDE + end.
            assert int(changed[0]) >= (sample - end) // STRIDE + 1
            assert int(changed[-1]) <= (sample - begin) // STRIDE
            assert len(changed) > (end - begin) // STRIDE - 4


def test_only_models_that_hear_samples_are_parted() -> None:
    heard = {
        name: split_encoder(fuse_for_inference(build_gesture_model(CONFIGS[name])))
        for name in CONFIGS
    }
    assert heard[WAVES] is not None
    assert any(split is None for split in heard.values())
