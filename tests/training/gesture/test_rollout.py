"""Rollout during training matches the live Runner."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.audio.features import FeatureExtractor
from engine.config.features import DEFAULT_FEATURES
from engine.config.presets import live_config
from engine.errors import ConfigError
from engine.generate.runner import Runner
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.generate.step import CodeSampler, StagedStep
from engine.generate.window import WindowSpec, window_slices
from engine.kernels.eager import EagerKernel
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from tests.support.takes import take
from training.data.dataset import CLOCK, Batch, GestureWindows
from training.data.normalize import fold
from training.gesture.rollout import (
    Rollout,
    RolloutConfig,
    RolloutRequest,
    draw_hop,
    hop_mask,
    rollout_decoder,
)

WINDOW, LEAD, SEED = 32, 8, 12
CONFIG = RolloutConfig(share=1.0, hops=(2, 4, 8), frames=LEAD, seed=SEED, temperature=0.0)


@pytest.fixture
def windows(parts: dict[BodyPart, PartVae]) -> GestureWindows:
    return GestureWindows([take(False, 1), take(True, 2), take(False, 3)], parts, WINDOW + LEAD)


@pytest.fixture
def model() -> GestureModel:
    torch.manual_seed(1)
    made = build_gesture_model(
        replace(
            live_config(DEFAULT_FEATURES.width, 10, width=16, codes=12, code_dim=8),
            heads=2,
            dropout=0.3,
        )
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.5)
    return made


def draw(windows: GestureWindows, rows: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return windows.draw(
        rows, generator, silent_fraction=0.0, word_dropout=0.0, ground_truth_fraction=0.0
    )


def generated(parts, windows, model, batch, hop, noise=None, config=CONFIG):  # type: ignore[no-untyped-def]
    rollout = Rollout(config, parts, rollout_decoder(parts), windows.scaling)
    return rollout.generate(model, batch, WINDOW, hop, noise)


@pytest.mark.parametrize("hop", CONFIG.hops)
def test_history_equals_that_of_the_runner(
    hop: int, parts: dict[BodyPart, PartVae], windows: GestureWindows, model: GestureModel
) -> None:
    batch = draw(windows)
    motion = generated(parts, windows, model, batch, hop)
    schedule = Schedule(WINDOW, SEED, hop)
    kernel = EagerKernel(fold(model, windows.scaling))
    selection = {BodyPart.FACE: CodeSelection.NEAREST_LATENT}
    sampler = CodeSampler(parts, selection, SamplingConfig(0.0))
    runner = Runner(
        StagedStep(kernel, sampler, rollout_decoder(parts), schedule.algorithmic_frames),
        WindowSpec(schedule, CLOCK, FeatureExtractor(DEFAULT_FEATURES, CLOCK).silence, 51),
        torch.zeros(4, dtype=torch.int64),
    )
    state = runner.initial_state([0, 1])
    first, end = WINDOW - hop, WINDOW + LEAD - hop
    state.audio[:, hop:] = batch.audio[:, :first]
    state.motion[:, hop:] = batch.motion[:, :first]
    state.codes[:, :, -first:] = batch.codes.transpose(1, 2)[:, :, :first]
    for at in range(first, end, hop):
        words = batch.words[:, at + hop - WINDOW : at + hop].numpy()
        audio = batch.audio[:, at : at + hop].numpy()
        runner.step(state, window_slices(audio, words, hop), torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(motion[:, first:end], state.motion[:, -LEAD:], atol=1e-5, rtol=0)
    assert (motion[:, first:end] - batch.motion[:, first:end]).abs().max() > 0.01


def test_only_frames_before_the_last_hop_change(
    parts: dict[BodyPart, PartVae], windows: GestureWindows, model: GestureModel
) -> None:
    batch = draw(windows)
    motion = generated(parts, windows, model, batch, 4)
    changed = (motion != batch.motion).any(-1).any(0).nonzero().flatten().tolist()
    end = WINDOW + LEAD - 4
    assert changed == list(range(end - LEAD, end))
    assert model.training  # as it was
    assert motion.clone().requires_grad_().requires_grad  # not an inference tensor


def test_only_requested_windows_are_filled(
    parts: dict[BodyPart, PartVae], windows: GestureWindows, model: GestureModel
) -> None:
    batch = draw(windows, 3)
    shown = windows.scaling.apply(batch.motion[:, LEAD:])
    rows = torch.tensor([False, True, False])
    request = RolloutRequest(batch, rows, torch.full((3,), 4), torch.zeros(3, 4, 12))
    rollout = Rollout(CONFIG, parts, rollout_decoder(parts), windows.scaling)
    made = rollout.fill(model, shown, request)
    assert torch.equal(made[~rows], shown[~rows])
    expected = generated(parts, windows, model, batch, 4)[1:2, LEAD:]
    torch.testing.assert_close(made[rows], windows.scaling.apply(expected), atol=1e-3, rtol=0)
    assert rollout.fill(model, shown, request._replace(rows=rows & False)) is shown


def test_noise_changes_the_sampled_codes(
    parts: dict[BodyPart, PartVae], windows: GestureWindows, model: GestureModel
) -> None:
    batch = draw(windows)
    warm = replace(CONFIG, temperature=2.0)
    noise = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(0))
    certain = generated(parts, windows, model, batch, 4)
    drawn = generated(parts, windows, model, batch, 4, noise, warm)
    assert not torch.equal(drawn, certain)
    assert torch.equal(drawn, generated(parts, windows, model, batch, 4, noise, warm))


def test_mask_is_that_of_a_live_hop() -> None:
    mask = hop_mask(WINDOW, 2, SEED)[:, 0]
    assert (mask == 0).nonzero().flatten().tolist() == list(range(WINDOW - 2 - SEED, WINDOW - 2))


def test_hops_are_drawn_uniformly_and_limited() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = np.array([draw_hop((1, 4), generator) for _ in range(200)])
    assert abs((drawn == 4).mean() - 0.5) < 0.1
    with pytest.raises(ConfigError, match="hops must be"):
        RolloutConfig(0.5, hops=(16,), frames=8)


def test_decoder_does_not_advance_the_global_generator(
    parts: dict[BodyPart, PartVae],
) -> None:
    state = torch.get_rng_state()
    rollout_decoder(parts)
    assert torch.equal(torch.get_rng_state(), state)
