"""What the gesture transformer learns by: codes, latents, faces, the ear and the cue."""

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
    GestureLoss,
    Material,
    face_channels,
    face_truth,
    losses,
    reconstruction,
)
from training.gesture.masking import MaskingConfig
from training.gesture.settings import Design, GestureTraining
from training.gesture.stage import (
    gesture_learner,
    model_config,
    own_output,
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


def test_losses_are_zero_for_the_truth_and_ignore_frames_without_weight() -> None:
    codes = torch.tensor([[[0, 1, 2, 3]], [[3, 2, 1, 0]]]).transpose(0, 1)
    latents = torch.randn(1, 2, 4, 6)
    logits = tuple(40.0 * torch.nn.functional.one_hot(codes[:, :, p], 5).float() for p in range(4))
    outputs = WindowOutputs(tuple(latents[:, :, p] for p in range(4)), logits)
    wrong = latents.clone()
    wrong[:, 1] += 7.0
    weight = torch.tensor([[2.0, 0.0]])
    nothing = torch.zeros(1)
    known = torch.ones(1, 2, 4)
    lesson = TrainingBatch(
        nothing, weight, nothing, nothing, codes, wrong, nothing, known, nothing, nothing
    )
    error, entropy, right = losses(outputs, lesson, torch.ones(4), 0.0)
    assert float(error) == 0.0
    assert float(entropy) == pytest.approx(0.0, abs=1e-5)
    assert right.tolist() == [1.0] * 4


def test_parts_that_were_not_recorded_count_nothing() -> None:
    latents = torch.randn(1, 2, 4, 6)
    logits = tuple(torch.randn(1, 2, 5, requires_grad=True) for _ in range(4))
    made = tuple((latents[:, :, p] + 1.0).requires_grad_() for p in range(4))
    known = torch.ones(1, 2, 4)
    known[..., 0] = 0.0
    nothing, codes = torch.zeros(1), torch.zeros(1, 2, 4, dtype=torch.int64)
    lesson = TrainingBatch(
        nothing,
        torch.ones(1, 2),
        nothing,
        nothing,
        codes,
        latents,
        nothing,
        known,
        nothing,
        nothing,
    )
    error, entropy, right = losses(WindowOutputs(made, logits), lesson, torch.ones(4), 0.0)
    (error + entropy).backward()
    assert error.item() == pytest.approx(3 / 4)
    assert float(right[0]) == 0.0
    for p, part in enumerate(made):
        assert bool(part.grad.any()) == bool(logits[p].grad.any()) == (p > 0)


def test_a_decoded_face_is_judged_where_it_counts(parts: dict[BodyPart, PartVae]) -> None:
    vae = parts[BodyPart.FACE]
    true = torch.randn(1, 6, 4, vae.code_dim)
    made = true[:, :, 0].clone()
    made[:, 4:] += 1.0
    nothing, known = torch.zeros(1), torch.ones(1, 6, 4)
    early = torch.tensor([[1.0, 1, 1, 1, 0, 0]])

    def error(weight: torch.Tensor) -> float:
        codes = torch.zeros(1, 6, 4)
        lesson = TrainingBatch(
            nothing, weight, nothing, nothing, codes, true, nothing, known, nothing, nothing
        )
        return float(face_truth(vae, lesson).error(vae.decode(made)))

    assert error(early) == 0.0, "the decoder is causal"
    assert error(1 - early) > 1e-3


def test_a_mouth_that_stays_open_is_judged_harder_where_lips_meet() -> None:
    class Itself(torch.nn.Module):
        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return latents

    width = part_layout(BodyPart.FACE, ARKIT_51.width).width
    jaw = width - ARKIT_51.width + ARKIT_51.coefficients.index("jawOpen")
    true = torch.zeros(1, 9, 4, width)
    true[:, [0, 1, 2, 6, 7, 8], 0, jaw] = 0.5
    nothing, known, codes = torch.zeros(1), torch.ones(1, 9, 4), torch.zeros(1, 9, 4)
    even = torch.ones(1, 9)
    lesson = TrainingBatch(
        nothing, even, nothing, nothing, codes, true, nothing, known, nothing, nothing
    )

    def error(frame: int, lip_closure_weight: float) -> float:
        made = true[:, :, 0].clone()
        made[:, frame, jaw] += 0.3
        truth = face_truth(Itself(), lesson, lip_closure_weight)  # type: ignore[arg-type]
        return float(truth.error(made))

    assert error(4, 3.0) == pytest.approx(4 * error(4, 0.0), rel=1e-3)
    assert error(1, 3.0) == pytest.approx(error(1, 0.0), rel=1e-3)


def test_reconstruction_is_the_body_alone() -> None:
    latents = torch.randn(2, 3, 4, 6)
    made = tuple(latents[:, :, p] + (5.0 if p == 0 else 0.5 * p) for p in range(4))
    scale = torch.tensor([1.0, 1.0, 4.0, 9.0])
    found = reconstruction(WindowOutputs(made, ()), latents, scale)
    assert found.tolist() == pytest.approx([(0.5 / 1 + 1.0 / 2 + 1.5 / 3) / 3] * 2)


def material_of(
    settings: GestureTraining, own_parts: dict[BodyPart, PartVae], folder: Path
) -> Material:
    windows = GestureWindows([take(False, 1), take(False, 3)], own_parts, 32)
    own = own_output(settings, windows, own_parts, torch.device("cpu"))
    lessons = BatchSampler(settings, windows, own_parts)
    return Material(model_config(settings, own_parts, 10), lessons, own, folder)


def test_the_speech_encoder_learns_to_tell_the_face(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, face_probe_weight=5.0)
    learner = gesture_learner(settings, [material_of(settings, parts, tmp_path)])
    lesson = learner.draw(generator(1), 0)
    objective = learner.objective
    assert isinstance(objective, GestureLoss)
    terms = objective(lesson, 0, generator(0))
    assert float(terms.shown["lips"].detach()) > 0.0
    (asked,) = torch.autograd.grad(
        terms.shown["lips"], [objective.model.speech.face.audio.weight], retain_graph=True
    )
    assert float(asked.abs().max()) > 0.0, "what is heard is told by"
    with torch.no_grad():
        objective.ear.face.bias.add_(1.0)  # type: ignore[union-attr, operator]
        worse = objective(lesson, 0, generator(0))
    more = float(worse.shown["lips"] - terms.shown["lips"].detach())
    assert float(worse.total - terms.total.detach()) == pytest.approx(5.0 * more, rel=1e-3)


def test_faces_of_several_kinds_are_told_to_be_none_of_the_ear(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    ours = material_of(SETTINGS, parts, tmp_path)
    wider = build_part_vae(PartVaeConfig(106, 16, 8, 12, 1, causal=True))
    other = replace(ours, own=SimpleNamespace(face=wider))  # type: ignore[arg-type]
    assert face_channels([ours, ours]) == part_layout(BodyPart.FACE, ARKIT_51.width).width
    with pytest.raises(ConfigError, match="one kind of face"):
        face_channels([ours, other])


def test_when_to_set_out_and_what_follows_are_learned_apart(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    settings = replace(
        SETTINGS, onset=OnsetConfig(lead_frames=2, hold_frames=4), speech_dilations=(1, 2)
    )
    learner = gesture_learner(settings, [material_of(settings, parts, tmp_path)])
    objective = learner.objective
    assert isinstance(objective, GestureLoss)
    cue = objective.model.cue
    assert cue is not None
    randomize_zeros(cue)
    terms = objective(learner.draw(generator(1), 0), 0, generator(0))
    told, scored = cue.tell.weight, cue.score.second.weight
    of_codes = torch.autograd.grad(
        terms.shown["nll"], [told, scored], allow_unused=True, retain_graph=True
    )
    assert float(of_codes[0].abs().max()) > 0.0, "the body learns from what it is told"
    assert of_codes[1] is None, "it is told the truth, whatever the scores"
    (of_scores,) = torch.autograd.grad(terms.shown["cue"], [scored])
    assert float(of_scores.abs().max()) > 0.0
