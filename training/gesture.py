"""Stage `gesture`: the gesture transformer learns codes and latents of the four parts.

Reads DATA/<corpus> and DATA/<vq>; writes OUT/{config.json, model.safetensors, vocabulary.json,
schedules.json}, its checkpoint and its losses.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.features import DEFAULT_FEATURES
from engine.config import (
    GestureConfig,
    PartVaeConfig,
    from_mapping,
    live_config,
    to_mapping,
)
from engine.errors import ConfigError
from engine.kernels.base import WindowInputs, WindowOutputs
from engine.model.builders import build_gesture_model, build_part_vae
from engine.model.gesture import GestureModel
from engine.model.paper import paper_config
from engine.model.part_vae import PartVae
from engine.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.checkpoint import read_objective
from training.clips import write_json
from training.dataset import GestureWindows, load_takes
from training.gesture_settings import Design, GestureTraining
from training.lesson import STROKE_FRAMES, Lesson, Lessons
from training.loop import Course, Learner, Loop, Terms, autocast
from training.masking import schedules
from training.own_output import OwnOutput, seed_decoder
from training.scaling import awaken, folded
from training.store import load_config, load_weights, save_module
from training.team import Team
from training.windows import generator

SCHEDULES = "schedules.json"


def load_parts(folder: Path) -> dict[BodyPart, PartVae]:
    """The four part autoencoders that the stage vq wrote."""
    parts = {}
    for part in BodyPart:
        vae = build_part_vae(load_config(folder / part, PartVaeConfig))
        load_weights(folder / part, vae)
        parts[part] = vae.requires_grad_(False)
    return parts


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a corpus or of a trained model."""
    path = folder / "vocabulary.json"
    if not path.is_file():
        raise ConfigError(f"expected {path}; run the stage compose first")
    return Vocabulary(json.loads(path.read_text()))


def adopt(folder: Path, model: nn.Module) -> None:
    """Take over all weights of another training that have the same name and shape."""
    own = model.state_dict()
    found = read_objective(folder, "model")
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(own | fitting)
    print(f"{len(fitting)} of {len(own)} tensors taken from {folder}", flush=True)


def model_config(
    settings: GestureTraining, parts: dict[BodyPart, PartVae], words: int
) -> GestureConfig:
    """The chosen design, fitting the part autoencoders."""
    sizes = {(vae.classes, vae.code_dim) for vae in parts.values()}
    if len(sizes) != 1:
        raise ConfigError(f"expected one size of codebook for all parts, got {sorted(sizes)}")
    codes, code_dim = sizes.pop()
    width = settings.width
    sizes_of = {"codes": codes, "code_dim": code_dim, "word_width": settings.word_width}
    if settings.design is Design.LIVE:
        config = live_config(DEFAULT_FEATURES.width, words, width=width, **sizes_of)
    else:
        halves = {"audio_width": width // 2, "motion_width": width // 2}
        config = paper_config(
            words, path=settings.path, width=width, speakers=1, **halves, **sizes_of
        )
    return replace(config, dropout=settings.dropout)


def losses(
    outputs: WindowOutputs, lesson: Lesson, scale: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(latent error, class error, right codes `[P]`), averages over frames by their weight.

    Parts that were not recorded count nothing.
    """
    every = (lesson.weight / lesson.weight.numel())[..., None] * lesson.known
    latent_error, class_error, right = [], [], []
    for p in range(len(BodyPart)):
        weight = every[..., p]
        square = (outputs.latents[p] - lesson.latents[:, :, p]).square().mean(-1) / scale[p]
        latent_error.append((square * weight).sum())
        logits = outputs.logits[p]
        codes = lesson.codes[:, :, p] % logits.shape[-1]  # of several codebooks, the first one's
        entropy = F.cross_entropy(
            logits.transpose(1, 2), codes, reduction="none", label_smoothing=smoothing
        )
        class_error.append((entropy * weight).sum())
        hit = (logits.argmax(-1) == codes).float()
        right.append((hit * weight).sum().detach())
    return torch.stack(latent_error).mean(), torch.stack(class_error).mean(), torch.stack(right)


def reconstruction(outputs: WindowOutputs, latents: Tensor, scale: Tensor) -> Tensor:
    """Absolute error `[B]` of the body's latents `[B, T, P, D]` (eq. 8), in their own spread."""
    errors = [
        (outputs.latents[p] - latents[:, :, p]).abs().mean((1, 2)) / scale[p].sqrt()
        for p, part in enumerate(BodyPart)
        if part is not BodyPart.FACE
    ]
    return torch.stack(errors).mean(0)


@torch.no_grad()
def next_hit(outputs: WindowOutputs, lesson: Lesson) -> Tensor:
    """How often the upper body's code of the first frame of the hidden end is right, a scalar."""
    first = lesson.ends.float().argmax(1)
    rows = torch.arange(len(first), device=first.device)
    upper = list(BodyPart).index(BodyPart.UPPER)
    made = outputs.logits[upper][rows, first].argmax(-1)
    true = lesson.codes[rows, first, upper] % outputs.logits[upper].shape[-1]
    return (made == true).float().mean()


class StressEar(nn.Module):
    """Scores `[B, T, 2]` from speech features: was a stressed vowel's onset a moment ago (the hand
    strokes), was it a little while ago (the hand comes back). Used while learning only.

    Codes alone teach the stresses slowly: they are one cause among many of what a hand does.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, len(STROKE_FRAMES) - 1)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.score(features)
        return scores

    def loss(self, features: Tensor, since: Tensor) -> Tensor:
        """Binary entropy of the scores, rare events lifted."""
        first, middle, last = STROKE_FRAMES
        soon = (since >= first) & (since < middle)
        later = (since >= middle) & (since <= last)
        truth = torch.stack([soon, later], -1).float()
        lift = torch.tensor([4.0, 2.0], device=truth.device)
        return F.binary_cross_entropy_with_logits(self(features), truth, pos_weight=lift)


class GestureObjective(nn.Module):
    """Learns the model, and beside it the ear.

    width: of the model's speech features. scale: mean square `[P]` of each part's latents. own:
    makes histories where lessons ask for them.
    """

    def __init__(
        self,
        model: GestureModel,
        width: int,
        scale: Tensor,
        settings: GestureTraining,
        own: OwnOutput,
    ) -> None:
        super().__init__()
        self.model = model
        self.ear = StressEar(width)
        self.scale: Tensor
        self.register_buffer("scale", scale, persistent=False)
        self._settings, self._own = settings, own
        self._heard: list[Tensor] = []
        model.speech.register_forward_hook(lambda *passed: self._heard.append(passed[-1][1]))

    def forward(self, lesson: Lesson, step: int, draws: torch.Generator) -> Terms:
        """Terms for a lesson; those shown are not yet weighted."""
        settings, inputs = self._settings, lesson.inputs
        if lesson.task:
            inputs = inputs._replace(motion=self._own.into(self.model, inputs.motion, lesson.task))
        self._heard.clear()
        outputs = self._outputs(inputs)
        ear = self.ear.loss(self._heard.pop().float(), lesson.since)
        latent, entropy, right = losses(outputs, lesson, self.scale, settings.smoothing)
        total = settings.latent_weight * latent + entropy + settings.ear_weight * ear
        shown = {"latent": latent, "nll": entropy, "ear": ear}
        if settings.reconstruct_weight:
            shown["hints"] = self._reconstruct(lesson)
            total = total + settings.reconstruct_weight * shown["hints"]
        shown |= {f"hit_{part}": hit for part, hit in zip(BodyPart, right, strict=True)}
        return Terms(total, shown | {"next_upper": next_hit(outputs, lesson)})

    def _outputs(self, inputs: WindowInputs, *, listen: bool = True) -> WindowOutputs:
        with autocast(self._settings.loop, inputs.motion.device):
            outputs = self.model(inputs, listen=listen)
        return WindowOutputs(*(tuple(x.float() for x in each) for each in outputs))

    def _reconstruct(self, lesson: Lesson) -> Tensor:
        """The error of gestures made of hints alone (eq. 7, 8)."""
        rows = lesson.hinted > 0
        if not rows.any():
            return lesson.hinted.sum()
        inputs = WindowInputs(*(field[rows] for field in lesson.inputs))
        errors = reconstruction(
            self._outputs(inputs, listen=False), lesson.latents[rows], self.scale
        )
        return (errors * lesson.hinted[rows]).sum() / len(rows)


def own_output(
    settings: GestureTraining,
    windows: GestureWindows,
    parts: Mapping[BodyPart, PartVae],
    device: torch.device,
) -> OwnOutput:
    """What rolls the model out on `device`; the parts themselves stay where they are."""
    near = {part: deepcopy(vae).to(device) for part, vae in parts.items()}
    return OwnOutput(settings.rollout, near, seed_decoder(near), windows.scaling.to(device))


def gesture_learner(
    settings: GestureTraining, config: GestureConfig, lessons: Lessons, own: OwnOutput, out: Path
) -> Learner:
    """A fresh model, awake, that learns from lessons and is written to `out`."""
    torch.manual_seed(settings.seed)
    model, windows = build_gesture_model(config), lessons.windows
    scale = windows.latent_scale
    objective = GestureObjective(model, config.audio.width, scale, settings, own)
    awaken(model, lessons(generator(settings.seed)).inputs)
    count = sum(p.numel() for p in model.parameters())
    print(f"{count} parameters", flush=True)
    return Learner(
        name="gesture",
        config=to_mapping(settings) | {"model": to_mapping(config)},
        objective=objective,
        optimizer=torch.optim.AdamW(
            objective.parameters(), settings.rate, (0.9, 0.98), weight_decay=settings.weight_decay
        ),
        draw=lessons,
        export=lambda: save_module(out, config, folded(model, windows.scaling)),
        networks=(model,),
    )


def course_of(settings: GestureTraining) -> Course:
    """How long and how fast it learns."""
    return Course(
        settings.steps, settings.rate, settings.seed, settings.schedule, settings.clip_norm,
        settings.report_every, settings.minutes,
    )  # fmt: skip


def run(config: dict[str, Any], data: Path, out: Path, team: Team | None = None) -> None:
    """Train on DATA/corpus with the autoencoders of DATA/vq."""
    settings, team = from_mapping(GestureTraining, config), team or Team()
    torch.set_num_threads(settings.threads)
    parts = load_parts(data / settings.vq)
    corpus = data / settings.corpus
    vocabulary = read_vocabulary(corpus)
    with team.leader_first():  # features are computed once and kept
        takes = load_takes(corpus, "train", vocabulary, settings.variants, settings.takes)
    windows = GestureWindows(takes, parts, settings.window + settings.rollout.lead)
    print(f"{len(takes)} takes, {sum(len(t.words) for t in takes)} frames", flush=True)
    model = model_config(settings, parts, len(vocabulary))
    own = own_output(settings, windows, parts, team.device)
    learner = gesture_learner(settings, model, Lessons(settings, windows, parts), own, out)
    if settings.start_from is not None:
        adopt(data / settings.start_from, learner.objective.get_submodule("model"))
    if team.leads:
        write_json(out / "vocabulary.json", list(vocabulary.words))
        known = schedules(settings.masking, settings.window)
        write_json(out / SCHEDULES, [to_mapping(schedule) for schedule in known])
    Loop(learner, course_of(settings), settings.loop, team, out).run()
