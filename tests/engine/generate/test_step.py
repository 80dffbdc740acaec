"""The staged step: data flow from transformer to sampler to decoder, and timing of stages."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.generate.decoder import SEAM_FRAMES
from engine.generate.sampling import CodeSelection, SamplingConfig, gumbel
from engine.generate.state import EncoderState
from engine.generate.step import CodeSampler, StagedStep
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import pose_decoder
from engine.kernels.window_graph import draw_window
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.skeleton import BodyPart
from engine.timing import Stage, no_timer
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle

LATENT_FACE = {BodyPart.FACE: CodeSelection.NEAREST_LATENT}


def window(seed: int = 0) -> WindowInputs:
    return draw_window(SHAPE, torch.Generator().manual_seed(seed))


def outputs(newest: int) -> WindowOutputs:
    return EagerKernel(tiny_bundle().gesture, newest)(window())


def noise(frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return gumbel(torch.randn(1, 4, frames, 24, generator=generator))


def test_each_part_uses_its_own_code_selection() -> None:
    parts, found = tiny_bundle().parts, outputs(4)
    codes = CodeSampler(parts, LATENT_FACE, SamplingConfig())(found, None, 4)
    assert torch.equal(codes[:, 0], parts[BodyPart.FACE].nearest(found.latents[0]))
    for p in range(1, 4):
        assert torch.equal(codes[:, p], found.logits[p].argmax(-1))


def test_only_the_newest_frames_are_sampled_each_with_its_noise() -> None:
    sampler = CodeSampler(tiny_bundle().parts, LATENT_FACE, SamplingConfig(3.0))
    assert sampler.samples
    found, gumbel_noise = outputs(4), noise(4)
    every = sampler(found, gumbel_noise, 4)
    assert torch.equal(sampler(found, gumbel_noise[:, :, 2:], 2), every[:, :, 2:])
    assert not torch.equal(every[:, 1:], sampler(found, None, 4)[:, 1:])
    with pytest.raises(ShapeError, match="needs 5 frames of the kernel, which gives 4"):
        sampler(found, None, 5)


def test_a_hop_is_decoded_after_its_history_and_timed_by_stage() -> None:
    bundle, stages = tiny_bundle(), list[Stage]()

    @contextmanager
    def watch(stage: Stage) -> Iterator[None]:
        stages.append(stage)
        yield

    decoder, sampler = (
        pose_decoder(bundle),
        CodeSampler(bundle.parts, LATENT_FACE, SamplingConfig()),
    )
    step = StagedStep(EagerKernel(bundle.gesture), sampler, decoder, 2)
    history = torch.randint(0, 24, (1, 4, decoder.context + 1))
    codes, decoded = step(window(), history, lambda: None, watch, EncoderState.empty(1))
    assert stages == [Stage.KERNEL, Stage.CHOOSE, Stage.DECODE]
    expected = decoder.decode(torch.cat((history, codes), 2), SEAM_FRAMES + 2)
    assert all(torch.equal(a, b) for a, b in zip(expected, decoded, strict=True))
    assert torch.equal(step.codes(window(), lambda: None, no_timer, 2), codes)


def test_zero_temperature_selects_the_arg_max_per_part() -> None:
    parts = tiny_bundle().parts
    found, gumbel_noise = outputs(4), noise(4)
    best = CodeSampler(parts, {}, SamplingConfig())(found, None, 4)
    mixed = SamplingConfig(0.0, temperatures={BodyPart.LOWER: 5.0})
    codes = CodeSampler(parts, {}, mixed)(found, gumbel_noise, 4)
    assert torch.equal(codes[:, :3], best[:, :3])
    assert not torch.equal(codes[:, 3], best[:, 3])
