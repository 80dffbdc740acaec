"""Steps and window shapes of a bundle."""

import pytest
import torch

from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.generate.step import StagedStep
from engine.kernels.from_bundle import (
    fused_module,
    pose_decoder,
    staged_step,
    window_ends,
    window_shape,
)
from engine.kernels.window_graph import draw_window
from engine.timing import no_timer
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle

BUNDLES = [tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)]


@pytest.mark.parametrize("bundle", BUNDLES, ids=["features", "waveform"])
def test_the_default_step_is_eager_with_windows_of_the_schedule(bundle: Bundle) -> None:
    step, schedule = staged_step(bundle), bundle.config.schedule
    assert isinstance(step, StagedStep)
    assert step.name == "eager"
    window = draw_window(window_shape(bundle, schedule, 2), torch.Generator().manual_seed(0))
    codes = step.codes(window, lambda: None, no_timer, schedule.hop)
    assert codes.shape == (2, 4, schedule.hop)


def test_a_given_decoder_is_used_by_the_step() -> None:
    bundle = tiny_bundle()
    decoder = pose_decoder(bundle)
    assert staged_step(bundle, decoder=decoder).decoder is decoder
    assert fused_module(bundle, bundle.config.schedule).newest == bundle.config.schedule.hop


def test_waveform_windows_end_on_the_encoder_stride() -> None:
    ends = [window_ends(BUNDLES[1])(frame) for frame in range(40)]
    assert ends == sorted(ends)
    assert all(end % 30 == 0 for end in ends)
