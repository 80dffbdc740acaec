"""Stage `gesture`: the gesture transformer learns codes and latents of the four parts.

Reads DATA/<corpus> and DATA/<vq>; writes OUT/{config.json, model.safetensors, vocabulary.json},
its checkpoint and its losses.
"""

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.features import DEFAULT_FEATURES
from engine.config import (
    ForwardPath,
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
from training.loop import Course, Learner, Loop, LoopSettings, Terms, autocast
from training.masking import MaskingConfig, disturb, frame_masks, hint_masks
from training.rates import RateSchedule
from training.scaling import awaken, folded
from training.store import load_config, load_weights, save_module
from training.team import Team
from training.windows import generator

STROKE_FRAMES = (2, 6, 14)
"""Frames after the onset of a stressed vowel: a stroke is on its way, it has landed, it is over."""


class Design(StrEnum):
    """Which network learns."""

    LIVE = "live"  # our own
    PAPER = "paper"  # EMAGE as the paper has it; its speech and motion features are half as wide


@dataclass(frozen=True)
class GestureTraining:
    """Settings of the stage.

    silence, wordless, true_motion: shares of windows, see `GestureWindows.draw`. seen_weight: of
    frames that are not in the hidden end. minutes: stop there, to go on another time; the rate
    goes by steps alone. path: of the paper's design. reconstruct_weight: of gestures made
    of hints without sound (`MaskingConfig`).
    """

    corpus: str = "corpus"
    vq: str = "vq"
    window: int = 64
    design: Design = Design.LIVE
    path: ForwardPath = ForwardPath.CROSS_ATTENTION
    width: int = 96
    word_width: int = 32
    batch: int = 32
    steps: int = 6000
    minutes: float | None = None
    rate: float = 1e-3
    weight_decay: float = 0.02
    dropout: float = 0.0
    latent_weight: float = 3.0
    smoothing: float = 0.05
    seen_weight: float = 0.2
    stress_weight: float = 1.0
    ear_weight: float = 1.0
    reconstruct_weight: float = 0.0
    silence: float = 0.12
    wordless: float = 0.5
    true_motion: float = 0.25
    variants: int = 3
    threads: int = 1
    seed: int = 1
    report_every: int = 50
    clip_norm: float = 1.0
    schedule: RateSchedule = field(default_factory=lambda: RateSchedule(rise=100, least=0.02))
    loop: LoopSettings = field(default_factory=LoopSettings)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    takes: int | None = None
    start_from: str | None = None


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
    sizes = {(vae.codes, vae.code_dim) for vae in parts.values()}
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


class Lesson(NamedTuple):
    """What the model is shown of a batch, and what it is to find.

    weight `[B, T]` of each frame's error, ends `[B, T]` the frames that are to be found, hinted
    `[B]` the weight of the windows that show hints, 0 for the others; codes, latents and since as
    in `Batch`. Both weights have a mean of 1 over the whole batch, so that however it is shared
    out, errors count the same.
    """

    inputs: WindowInputs
    weight: Tensor
    ends: Tensor
    hinted: Tensor
    codes: Tensor
    latents: Tensor
    since: Tensor


def losses(
    outputs: WindowOutputs, lesson: Lesson, scale: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(latent error, class error, right codes `[P]`), averages over frames by their weight."""
    weight = lesson.weight / lesson.weight.numel()
    latent_error, class_error, right = [], [], []
    for p in range(len(BodyPart)):
        square = (outputs.latents[p] - lesson.latents[:, :, p]).square().mean(-1) / scale[p]
        latent_error.append((square * weight).sum())
        logits, codes = outputs.logits[p], lesson.codes[:, :, p]
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
    return (made == lesson.codes[rows, first, upper]).float().mean()


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

    width: of the model's speech features. scale: mean square `[P]` of each part's latents.
    """

    def __init__(
        self, model: GestureModel, width: int, scale: Tensor, settings: GestureTraining
    ) -> None:
        super().__init__()
        self.model = model
        self.ear = StressEar(width)
        self.scale: Tensor
        self.register_buffer("scale", scale, persistent=False)
        self._settings = settings
        self._heard: list[Tensor] = []
        model.speech.register_forward_hook(lambda *passed: self._heard.append(passed[-1][1]))

    def forward(self, lesson: Lesson, step: int, draws: torch.Generator) -> Terms:
        """Terms for a lesson; those shown are not yet weighted."""
        settings = self._settings
        self._heard.clear()
        outputs = self._outputs(lesson.inputs)
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


def make_lesson(
    settings: GestureTraining, windows: GestureWindows, draws: torch.Generator, step: int = 0
) -> Lesson:
    """Draw windows, hide and disturb a part of their motion."""
    batch = windows.draw(
        settings.batch,
        draws,
        silence=settings.silence,
        wordless=settings.wordless,
        true=settings.true_motion,
    )
    rows, frames = batch.words.shape
    hidden, ends = frame_masks(settings.masking, rows, frames, draws)
    motion = disturb(settings.masking, windows.scaling.apply(batch.motion), draws)
    mask = hidden[..., None].float().expand_as(motion)
    hinted = torch.zeros(rows, dtype=torch.bool)
    if settings.masking.hinted > 0:
        hints = hint_masks(settings.masking, rows, frames, step / settings.steps, draws)
        hinted = hints.rows
        mask, ends = torch.where(hinted[:, None, None], hints.mask, mask), ends | hinted[:, None]
    speaker = torch.zeros(rows, dtype=torch.int64)
    weight = torch.where(ends, 1.0, settings.seen_weight)
    stroke = (batch.since <= STROKE_FRAMES[-1]).float()
    weight = weight * (1.0 + settings.stress_weight * stroke)
    # Short ends count as much as long ones: they are what happens live.
    weight = weight / ends.sum(1, keepdim=True).float().clamp(min=4).sqrt()
    inputs = WindowInputs(motion, mask, batch.audio, batch.words, speaker)
    return Lesson(
        inputs, weight / weight.mean(), ends, hinted / hinted.float().mean().clamp(min=1e-9),
        batch.codes, batch.latents, batch.since,
    )  # fmt: skip


def gesture_learner(
    settings: GestureTraining, config: GestureConfig, windows: GestureWindows, out: Path
) -> Learner:
    """A fresh model, awake, that learns from windows and is written to `out`."""
    torch.manual_seed(settings.seed)
    model = build_gesture_model(config)
    objective = GestureObjective(model, config.audio.width, windows.latent_scale, settings)
    awaken(model, make_lesson(settings, windows, generator(settings.seed)).inputs)
    count = sum(p.numel() for p in model.parameters())
    print(f"{count} parameters", flush=True)
    return Learner(
        name="gesture",
        config=to_mapping(settings) | {"model": to_mapping(config)},
        objective=objective,
        optimizer=torch.optim.AdamW(
            objective.parameters(), settings.rate, (0.9, 0.98), weight_decay=settings.weight_decay
        ),
        draw=lambda draws, step: make_lesson(settings, windows, draws, step),
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
    windows = GestureWindows(takes, parts, settings.window)
    print(f"{len(takes)} takes, {sum(len(t.words) for t in takes)} frames", flush=True)
    model = model_config(settings, parts, len(vocabulary))
    learner = gesture_learner(settings, model, windows, out)
    if settings.start_from is not None:
        adopt(data / settings.start_from, learner.objective.get_submodule("model"))
    if team.leads:
        write_json(out / "vocabulary.json", list(vocabulary.words))
    Loop(learner, course_of(settings), settings.loop, team, out).run()
