import json

import numpy as np
import pytest
import torch

from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError
from engine.generate.sampling import (
    CodeSelection,
    CorrelatedNoise,
    SamplingConfig,
    gumbel,
    gumbel_choice,
    sample_codes,
)
from engine.model.quantizers.vector import VectorQuantizer
from engine.motion.skeleton import BodyPart


def run(noise: CorrelatedNoise, frames: range) -> np.ndarray:
    return np.stack([noise.next(frame) for frame in frames])


def test_temperature_zero_selects_the_arg_max() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)) * 10
    assert torch.equal(gumbel_choice(logits, noise, 0.0), logits.argmax(-1))


def test_codes_are_sampled_with_the_probabilities_of_the_scores() -> None:
    noise = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    probabilities = torch.tensor([0.6, 0.3, 0.1])
    codes = gumbel_choice(probabilities.log().expand(20_000, 3), gumbel(noise), 1.0)
    share = torch.bincount(codes, minlength=3) / 20_000
    np.testing.assert_allclose(share, probabilities, atol=0.015)


def test_extreme_noise_selects_a_valid_code() -> None:
    noise = torch.tensor([[50.0, -50.0, 0.0]])
    assert int(gumbel_choice(torch.zeros(1, 3), gumbel(noise), 1.0)) == 0


def test_noise_depends_only_on_seed_and_frame() -> None:
    first = run(CorrelatedNoise(3, 2, 5, 0.9), range(20))
    np.testing.assert_array_equal(first, run(CorrelatedNoise(3, 2, 5, 0.9), range(20)))
    assert not np.array_equal(first, run(CorrelatedNoise(4, 2, 5, 0.9), range(20)))
    assert not np.array_equal(first[5:], run(CorrelatedNoise(3, 2, 5, 0.9), range(15)))


def test_noise_is_correlated_with_unit_variance() -> None:
    noise = run(CorrelatedNoise(0, 40, 50, 0.9), range(60))
    assert noise.std() == pytest.approx(1.0, abs=0.03)
    assert noise[-1].std() == pytest.approx(1.0, abs=0.06)
    correlation = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    assert correlation == pytest.approx(0.9, abs=0.01)


def test_without_persistence_frames_are_independent() -> None:
    noise = run(CorrelatedNoise(0, 40, 50, 0.0), range(20))
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.02
    # nor shifted copies of each other, as adjacent counters of a generator could give
    for frame in range(19):
        assert len(np.intersect1d(noise[frame], noise[frame + 1])) < 20


def test_a_restored_snapshot_repeats_the_noise() -> None:
    noise = CorrelatedNoise(1, 2, 3, 0.5)
    run(noise, range(4))
    snapshot = noise.snapshot()
    expected = run(noise, range(4, 9))
    noise.restore(snapshot)
    np.testing.assert_array_equal(run(noise, range(4, 9)), expected)
    noise.restore(snapshot)
    np.testing.assert_array_equal(run(noise, range(4, 9)), expected)


@pytest.mark.parametrize(("temperature", "persistence"), [(-0.1, 0.9), (1.0, 1.0), (1.0, -0.1)])
def test_numbers_out_of_range_are_refused(temperature: float, persistence: float) -> None:
    with pytest.raises(ConfigError, match="temperature >= 0, 0 <= noise_correlation < 1"):
        SamplingConfig(temperature, persistence)


def test_codes_are_selected_as_configured() -> None:
    quantizer = VectorQuantizer(3, 1)
    with torch.no_grad():
        quantizer.embedding.weight.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
    latents = torch.tensor([[[1.9]]])
    logits = torch.tensor([[[5.0, 4.9, -9.0]]])
    noise = torch.tensor([[[-3.0, 3.0, 0.0]]])

    def select(choice: CodeSelection, config: SamplingConfig) -> int:
        return int(sample_codes(quantizer, choice, latents, logits, noise, config))

    assert select(CodeSelection.NEAREST_LATENT, SamplingConfig(1.0)) == 2
    assert select(CodeSelection.ARGMAX_OR_SAMPLE, SamplingConfig(0.0)) == 0
    assert select(CodeSelection.ARGMAX_OR_SAMPLE, SamplingConfig(1.0)) == 1
    logits[0, 0, 2] = 4.9
    assert select(CodeSelection.ARGMAX_OR_SAMPLE, SamplingConfig(0.0, mean_shift_radius=3.0)) == 1


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ConfigError, match="mean_shift_radius >= 0"):
        SamplingConfig(mean_shift_radius=-1.0)


def test_parts_may_override_the_temperature() -> None:
    config = SamplingConfig(0.0, 0.5, 1.5, {BodyPart.LOWER: 0.8})
    assert config.draws
    assert config.of(BodyPart.LOWER) == SamplingConfig(0.8, 0.5, 1.5)
    assert config.of(BodyPart.UPPER) == SamplingConfig(0.0, 0.5, 1.5)
    assert not SamplingConfig(0.0, temperatures={BodyPart.LOWER: 0.0}).draws
    with pytest.raises(ConfigError, match="temperatures >= 0"):
        SamplingConfig(temperatures={BodyPart.LOWER: -1.0})


def test_temperatures_are_serialised_by_part_name() -> None:
    config = SamplingConfig(0.5, temperatures={BodyPart.LOWER: 0.8})
    assert from_mapping(SamplingConfig, json.loads(json.dumps(to_mapping(config)))) == config
