"""The gesture stage on tiny takes: windows, losses, learning, going on after a stop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.audio.features import DEFAULT_FEATURES
from engine.config import PartVaeConfig, live_config
from engine.errors import ConfigError
from engine.kernels.base import WindowOutputs
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from engine.skeleton import BodyPart
from training.dataset import Batch, GestureWindows
from training.gesture import GestureTrainer, GestureTraining, StressEar, losses, model_config, train

FRAMES = 96
SETTINGS = GestureTraining(window=32, width=16, batch=4, steps=30, rate=3e-3, threads=1)


def test_losses_are_zero_for_the_truth_and_ignore_frames_without_weight() -> None:
    codes = torch.tensor([[[0, 1, 2, 3]], [[3, 2, 1, 0]]]).transpose(0, 1)
    latents = torch.randn(1, 2, 4, 6)
    logits = tuple(40.0 * torch.nn.functional.one_hot(codes[:, :, p], 5).float() for p in range(4))
    outputs = WindowOutputs(tuple(latents[:, :, p] for p in range(4)), logits)
    wrong = latents.clone()
    wrong[:, 1] += 7.0
    batch = Batch(*(torch.zeros(1),) * 3, codes, wrong, torch.zeros(1, 2))
    weight = torch.tensor([[1.0, 0.0]])
    error, entropy, right = losses(outputs, batch, weight, torch.ones(4), 0.0)
    assert float(error) == 0.0
    assert float(entropy) == pytest.approx(0.0, abs=1e-5)
    assert right.tolist() == [1.0] * 4


def test_learning_lowers_the_loss_and_a_stopped_training_goes_on(
    windows: GestureWindows, parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    config = replace(
        live_config(DEFAULT_FEATURES.width, 10, width=16, codes=12, code_dim=8), heads=2
    )
    whole = GestureTrainer(SETTINGS, config, windows)
    first = whole.step(0.0)["nll"]
    last = [whole.step(i / 30)["nll"] for i in range(1, 30)][-1]
    assert last < first
    short = replace(SETTINGS, steps=10)
    train(GestureTrainer(short, config, windows), tmp_path)
    again = GestureTrainer(SETTINGS, config, windows)
    train(again, tmp_path)
    assert again.done == 30
    assert (tmp_path / "model.safetensors").is_file()


def test_parts_with_different_codebooks_are_refused(parts: dict[BodyPart, PartVae]) -> None:
    other = build_part_vae(PartVaeConfig(8, 16, 8, 24, 1))
    with pytest.raises(ConfigError, match="one size"):
        model_config(SETTINGS, {**parts, BodyPart.FACE: other}, 10)


def test_the_ear_knows_strokes_from_what_follows() -> None:
    ear = StressEar(3)
    since = torch.tensor([[0, 3, 5, 6, 14, 15, 99]])
    features = torch.zeros(1, 7, 3)
    features[0, 1:3, 0], features[0, 3:5, 1] = 1.0, 1.0
    with torch.no_grad():
        ear.score.weight.copy_(torch.tensor([[60.0, 0, 0], [0, 60.0, 0]]))
        ear.score.bias.fill_(-30.0)
    assert float(ear.loss(features, since)) < 1e-6
    assert float(ear.loss(features, since + 8)) > 1.0
