"""Losses of the gesture transformer."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.config.model import OnsetConfig, PartVaeConfig
from engine.errors import ConfigError
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from engine.model.types import WindowOutputs
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart
from tests.support.takes import take
from tests.support.tiny_bundle import randomize_zeros
from training.data.dataset import GestureWindows
from training.data.windows import generator
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.loss import (
    RENAMED_MODULES,
    GestureLoss,
    TrainingSet,
    face_channels,
    face_truth,
    losses,
    reconstruction,
)
from training.gesture.masking import MaskingConfig
from training.gesture.settings import Design, GestureTraining
from training.gesture.stage import (
    gesture_task,
    make_rollout,
    model_config,
)

SETTINGS = GestureTraining(window=32, width=16, batch=4, steps=30, learning_rate=3e-3, threads=1)
HINTS = MaskingConfig(hint_share=0.5, hint_ratio=(0.2, 0.8))
PAPER = replace(
    SETTINGS,
    design=Design.PAPER,
    word_width=8,
    reconstruct_weight=1.0,
    stress_weight_aux=0.0,
    masking=HINTS,
)


def test_losses_are_zero_for_the_truth_and_ignore_unweighted_frames() -> None:
    codes = torch.tensor([[[0, 1, 2, 3]], [[3, 2, 1, 0]]]).transpose(0, 1)
    latents = torch.randn(1, 2, 4, 6)
    logits = tuple(40.0 * torch.nn.functional.one_hot(codes[:, :, p], 5).float() for p in range(4))
    outputs = WindowOutputs(tuple(latents[:, :, p] for p in range(4)), logits)
    wrong = latents.clone()
    wrong[:, 1] += 7.0
    weight = torch.tensor([[2.0, 0.0]])
    empty = torch.zeros(1)
    valid = torch.ones(1, 2, 4)
    batch = TrainingBatch(empty, weight, empty, empty, codes, wrong, empty, valid, empty, empty)
    error, entropy, right = losses(outputs, batch, torch.ones(4), 0.0)
    assert float(error) == 0.0
    assert float(entropy) == pytest.approx(0.0, abs=1e-5)
    assert right.tolist() == [1.0] * 4


def test_parts_that_were_not_recorded_are_ignored() -> None:
    latents = torch.randn(1, 2, 4, 6)
    logits = tuple(torch.randn(1, 2, 5, requires_grad=True) for _ in range(4))
    made = tuple((latents[:, :, p] + 1.0).requires_grad_() for p in range(4))
    valid = torch.ones(1, 2, 4)
    valid[..., 0] = 0.0
    empty, codes = torch.zeros(1), torch.zeros(1, 2, 4, dtype=torch.int64)
    batch = TrainingBatch(
        empty,
        torch.ones(1, 2),
        empty,
        empty,
        codes,
        latents,
        empty,
        valid,
        empty,
        empty,
    )
    error, entropy, right = losses(WindowOutputs(made, logits), batch, torch.ones(4), 0.0)
    (error + entropy).backward()
    assert error.item() == pytest.approx(3 / 4)
    assert float(right[0]) == 0.0
    for p, part in enumerate(made):
        assert bool(part.grad.any()) == bool(logits[p].grad.any()) == (p > 0)


def test_face_error_is_weighted_by_frame(parts: dict[BodyPart, PartVae]) -> None:
    vae = parts[BodyPart.FACE]
    true = torch.randn(1, 6, 4, vae.code_dim)
    made = true[:, :, 0].clone()
    made[:, 4:] += 1.0
    empty, valid = torch.zeros(1), torch.ones(1, 6, 4)
    early = torch.tensor([[1.0, 1, 1, 1, 0, 0]])

    def error(weight: torch.Tensor) -> float:
        codes = torch.zeros(1, 6, 4)
        batch = TrainingBatch(empty, weight, empty, empty, codes, true, empty, valid, empty, empty)
        return float(face_truth(vae, batch).error(vae.decode(made)))

    assert error(early) == 0.0, "the decoder is causal"
    assert error(1 - early) > 1e-3


def test_lip_closures_weigh_more() -> None:
    class Itself(torch.nn.Module):
        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return latents

    width = part_layout(BodyPart.FACE, ARKIT_51.width).width
    jaw = width - ARKIT_51.width + ARKIT_51.coefficients.index("jawOpen")
    true = torch.zeros(1, 9, 4, width)
    true[:, [0, 1, 2, 6, 7, 8], 0, jaw] = 0.5
    empty, valid, codes = torch.zeros(1), torch.ones(1, 9, 4), torch.zeros(1, 9, 4)
    even = torch.ones(1, 9)
    batch = TrainingBatch(empty, even, empty, empty, codes, true, empty, valid, empty, empty)

    def error(frame: int, lip_closure_weight: float) -> float:
        made = true[:, :, 0].clone()
        made[:, frame, jaw] += 0.3
        truth = face_truth(Itself(), batch, lip_closure_weight)  # type: ignore[arg-type]
        return float(truth.error(made))

    assert error(4, 3.0) == pytest.approx(4 * error(4, 0.0), rel=1e-3)
    assert error(1, 3.0) == pytest.approx(error(1, 0.0), rel=1e-3)


def test_reconstruction_ignores_the_face() -> None:
    latents = torch.randn(2, 3, 4, 6)
    made = tuple(latents[:, :, p] + (5.0 if p == 0 else 0.5 * p) for p in range(4))
    scale = torch.tensor([1.0, 1.0, 4.0, 9.0])
    found = reconstruction(WindowOutputs(made, ()), latents, scale)
    assert found.tolist() == pytest.approx([(0.5 / 1 + 1.0 / 2 + 1.5 / 3) / 3] * 2)


def training_set_of(
    settings: GestureTraining, own_parts: dict[BodyPart, PartVae], folder: Path
) -> TrainingSet:
    windows = GestureWindows([take(False, 1), take(False, 3)], own_parts, 32)
    rollout = make_rollout(settings, windows, own_parts, torch.device("cpu"))
    sampler = BatchSampler(settings, windows, own_parts)
    return TrainingSet(model_config(settings, own_parts, 10), sampler, rollout, folder)


def test_face_probe_trains_the_speech_encoder(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, face_probe_weight=5.0)
    task = gesture_task(settings, [training_set_of(settings, parts, tmp_path)])
    batch = task.draw(generator(1), 0)
    objective = task.objective
    assert isinstance(objective, GestureLoss)
    terms = objective(batch, 0, generator(0))
    assert float(terms.shown["face_probe"].detach()) > 0.0
    (gradient,) = torch.autograd.grad(
        terms.shown["face_probe"], [objective.model.speech.face.audio.weight], retain_graph=True
    )
    assert float(gradient.abs().max()) > 0.0
    with torch.no_grad():
        objective.auxiliary.face.bias.add_(1.0)  # type: ignore[union-attr, operator]
        worse = objective(batch, 0, generator(0))
    more = float(worse.shown["face_probe"] - terms.shown["face_probe"].detach())
    assert float(worse.total - terms.total.detach()) == pytest.approx(5.0 * more, rel=1e-3)


def test_face_probe_needs_one_face_basis(parts: dict[BodyPart, PartVae], tmp_path: Path) -> None:
    ours = training_set_of(SETTINGS, parts, tmp_path)
    wider = build_part_vae(PartVaeConfig(106, 16, 8, 12, 1, causal=True))
    other = replace(ours, rollout=SimpleNamespace(face=wider))  # type: ignore[arg-type]
    assert face_channels([ours, ours]) == part_layout(BodyPart.FACE, ARKIT_51.width).width
    with pytest.raises(ConfigError, match="one kind of face"):
        face_channels([ours, other])


def test_onset_detector_and_body_are_trained_separately(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    settings = replace(
        SETTINGS, onset=OnsetConfig(lead_frames=2, hold_frames=4), speech_dilations=(1, 2)
    )
    task = gesture_task(settings, [training_set_of(settings, parts, tmp_path)])
    objective = task.objective
    assert isinstance(objective, GestureLoss)
    cue = objective.model.cue
    assert cue is not None
    randomize_zeros(cue)
    terms = objective(task.draw(generator(1), 0), 0, generator(0))
    conditioning, scored = cue.tell.weight, cue.score.second.weight
    of_codes = torch.autograd.grad(
        terms.shown["nll"], [conditioning, scored], allow_unused=True, retain_graph=True
    )
    assert float(of_codes[0].abs().max()) > 0.0, "the body is conditioned on the onsets"
    assert of_codes[1] is None, "the onsets are the true ones"
    (of_scores,) = torch.autograd.grad(terms.shown["onset"], [scored])
    assert float(of_scores.abs().max()) > 0.0


def test_checkpoints_with_former_module_names_are_loaded(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    objective = gesture_task(SETTINGS, [training_set_of(SETTINGS, parts, tmp_path)]).objective
    (former, current), *_ = RENAMED_MODULES.items()
    state = objective.state_dict()
    old = {
        f"{former}.{name.removeprefix(f'{current}.')}"
        if name.startswith(f"{current}.")
        else name: x
        for name, x in state.items()
    }
    assert old.keys() != state.keys()
    objective.load_state_dict(old)
