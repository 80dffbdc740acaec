"""Stage `gesture`: the gesture transformer learns codes and latents of the four parts.

Reads DATA/<corpus> and DATA/<vq>; writes OUT/{config.json, model.safetensors, vocabulary.json} and
a checkpoint from which a stopped training goes on.
"""

import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.features import DEFAULT_FEATURES
from engine.config import GestureConfig, PartVaeConfig, from_mapping, live_config
from engine.errors import ConfigError
from engine.kernels.base import WindowInputs, WindowOutputs
from engine.model.builders import build_gesture_model, build_part_vae
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.clips import write_json
from training.dataset import Batch, GestureWindows, load_takes
from training.masking import MaskingConfig, disturb, frame_masks
from training.scaling import awaken, folded
from training.store import load_config, load_weights, save_module

STROKE_FRAMES = (2, 6, 14)
"""Frames after the onset of a stressed vowel: a stroke is on its way, it has landed, it is over."""


@dataclass(frozen=True)
class GestureTraining:
    """Settings of the stage.

    silence, wordless, true_motion: shares of windows, see `GestureWindows.draw`. seen_weight: of
    frames that are not in the hidden end. minutes: stop there, whatever `steps` says.
    """

    corpus: str = "corpus"
    vq: str = "vq"
    window: int = 64
    width: int = 96
    batch: int = 32
    steps: int = 6000
    minutes: float = 40.0
    rate: float = 1e-3
    weight_decay: float = 0.02
    dropout: float = 0.0
    latent_weight: float = 3.0
    smoothing: float = 0.05
    seen_weight: float = 0.2
    stress_weight: float = 1.0
    ear_weight: float = 1.0
    silence: float = 0.12
    wordless: float = 0.5
    true_motion: float = 0.25
    variants: int = 3
    threads: int = 1
    seed: int = 1
    report_every: int = 50
    save_every_s: float = 120.0
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


def adopt(folder: Path, model: GestureModel) -> None:
    """Take over all weights of another model that have the same name and shape."""
    own = model.state_dict()
    found = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(own | fitting)
    print(f"{len(fitting)} of {len(own)} tensors taken from {folder}", flush=True)


def model_config(
    settings: GestureTraining, parts: dict[BodyPart, PartVae], words: int
) -> GestureConfig:
    """The live design, fitting the part autoencoders."""
    sizes = {(vae.codes, vae.code_dim) for vae in parts.values()}
    if len(sizes) != 1:
        raise ConfigError(f"expected one size of codebook for all parts, got {sorted(sizes)}")
    codes, code_dim = sizes.pop()
    features = DEFAULT_FEATURES.width
    config = live_config(features, words, width=settings.width, codes=codes, code_dim=code_dim)
    return replace(config, dropout=settings.dropout)


def losses(
    outputs: WindowOutputs, batch: Batch, weight: Tensor, scale: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(latent error, class error, right codes `[P]`), averages over frames by `weight [B, T]`."""
    total = weight.sum()
    latent_error, class_error, right = [], [], []
    for p in range(len(BodyPart)):
        square = (outputs.latents[p] - batch.latents[:, :, p]).square().mean(-1) / scale[p]
        latent_error.append((square * weight).sum() / total)
        logits, codes = outputs.logits[p], batch.codes[:, :, p]
        entropy = F.cross_entropy(
            logits.transpose(1, 2), codes, reduction="none", label_smoothing=smoothing
        )
        class_error.append((entropy * weight).sum() / total)
        hit = (logits.argmax(-1) == codes).float()
        right.append(((hit * weight).sum() / total).detach())
    return torch.stack(latent_error).mean(), torch.stack(class_error).mean(), torch.stack(right)


def next_hit(outputs: WindowOutputs, batch: Batch, ends: Tensor) -> float:
    """How often the upper body's code of the first frame of the hidden end is right."""
    first = ends.float().argmax(1)
    rows, upper = torch.arange(len(first)), list(BodyPart).index(BodyPart.UPPER)
    made = outputs.logits[upper].detach()[rows, first].argmax(-1)
    return float((made == batch.codes[rows, first, upper]).float().mean())


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
        lift = torch.tensor([4.0, 2.0])
        return F.binary_cross_entropy_with_logits(self(features), truth, pos_weight=lift)


class GestureTrainer:
    """The model, its optimiser and one step."""

    def __init__(
        self, settings: GestureTraining, config: GestureConfig, windows: GestureWindows
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.config, self.windows = settings, config, windows
        self.model: GestureModel = build_gesture_model(config)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.ear = StressEar(config.width)
        self._heard: list[Tensor] = []
        self.model.speech.register_forward_hook(lambda *passed: self._heard.append(passed[-1][1]))
        parameters = [*self.model.parameters(), *self.ear.parameters()]
        self.optimizer = torch.optim.AdamW(
            parameters, settings.rate, (0.9, 0.98), weight_decay=settings.weight_decay
        )
        self.scale, self.scaling = windows.latent_scale, windows.scaling
        self.done = 0

    def awaken(self) -> None:
        """Make a fresh model listen and look from the first step on."""
        inputs, _, _ = self.inputs(self._draw())
        awaken(self.model, inputs)

    def _draw(self) -> Batch:
        settings = self.settings
        return self.windows.draw(
            settings.batch,
            self.generator,
            silence=settings.silence,
            wordless=settings.wordless,
            true=settings.true_motion,
        )

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` 0..1: a short rise, then half a cosine."""
        rise = min(1.0, (self.done + 1) / 100)
        return self.settings.rate * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def inputs(self, batch: Batch) -> tuple[WindowInputs, Tensor, Tensor]:
        """What the model is shown, the weight `[B, T]` of each frame's error, the hidden ends."""
        settings, generator = self.settings, self.generator
        rows, frames = batch.words.shape
        hidden, ends = frame_masks(settings.masking, rows, frames, generator)
        motion = disturb(settings.masking, self.scaling.apply(batch.motion), generator)
        mask = hidden[..., None].float().expand_as(motion)
        speaker = torch.zeros(rows, dtype=torch.int64)
        weight = torch.where(ends, 1.0, settings.seen_weight)
        stroke = (batch.since <= STROKE_FRAMES[-1]).float()
        weight = weight * (1.0 + settings.stress_weight * stroke)
        # Short ends count as much as long ones: they are what happens live.
        weight = weight / ends.sum(1, keepdim=True).float().clamp(min=4).sqrt()
        return WindowInputs(motion, mask, batch.audio, batch.words, speaker), weight, ends

    def step(self, progress: float) -> dict[str, float]:
        """Learn from one batch; gives numbers to report."""
        settings = self.settings
        batch = self._draw()
        inputs, weight, ends = self.inputs(batch)
        self._heard.clear()
        outputs = self.model(inputs)
        ear = self.ear.loss(self._heard.pop(), batch.since)
        latent, entropy, right = losses(outputs, batch, weight, self.scale, settings.smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        (settings.latent_weight * latent + entropy + settings.ear_weight * ear).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(progress)
        self.optimizer.step()
        self.done += 1
        named = {f"hit_{part}": float(r) for part, r in zip(BodyPart, right, strict=True)}
        named["next_upper"] = next_hit(outputs, batch, ends)
        return {
            "latent": latent.item(),
            "nll": entropy.item(),
            "ear": ear.item(),
            "norm": float(norm),
            **named,
        }

    def save(self, out: Path, spent_s: float) -> None:
        """Write the model and, whole or not at all, everything needed to go on."""
        save_module(out, self.config, folded(self.model, self.scaling))
        state = {
            "model": self.model.state_dict(),
            "ear": self.ear.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "done": self.done,
            "spent_s": spent_s,
        }
        temporary = out / "checkpoint.part"
        torch.save(state, temporary)
        temporary.replace(out / "checkpoint.pt")

    def resume(self, out: Path) -> float:
        """Go on from a checkpoint if there is one; gives the seconds that were spent before."""
        path = out / "checkpoint.pt"
        if not path.is_file():
            return 0.0
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ear.load_state_dict(state["ear"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.done = int(state["done"])
        return float(state["spent_s"])


def train(trainer: GestureTrainer, out: Path) -> None:
    """All steps or all minutes, whichever ends first."""
    settings = trainer.settings
    before = trainer.resume(out)
    began = saved = time.monotonic()
    sums: dict[str, float] = {}
    trainer.model.train()
    while trainer.done < settings.steps:
        spent = before + time.monotonic() - began
        if spent > 60 * settings.minutes:
            break
        progress = max(trainer.done / settings.steps, spent / (60 * settings.minutes))
        for name, value in trainer.step(progress).items():
            sums[name] = sums.get(name, 0.0) + value / settings.report_every
        if trainer.done % settings.report_every == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
            sums = {}
            rate = (time.monotonic() - began) / trainer.done if not before else 0.0
            print(
                f"{trainer.done}/{settings.steps} {shown} | {spent / 60:.1f} of "
                f"{settings.minutes:g} min, {rate:.2f} s a step",
                flush=True,
            )
        if time.monotonic() - saved > settings.save_every_s:
            saved = time.monotonic()
            trainer.save(out, spent)
    trainer.save(out, before + time.monotonic() - began)


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Train on DATA/corpus with the autoencoders of DATA/vq."""
    settings = from_mapping(GestureTraining, config)
    torch.set_num_threads(settings.threads)
    parts = load_parts(data / settings.vq)
    corpus = data / settings.corpus
    vocabulary = read_vocabulary(corpus)
    takes = load_takes(corpus, "train", vocabulary, settings.variants, settings.takes)
    windows = GestureWindows(takes, parts, settings.window)
    print(f"{len(takes)} takes, {sum(len(t.words) for t in takes)} frames", flush=True)
    trainer = GestureTrainer(settings, model_config(settings, parts, len(vocabulary)), windows)
    count = sum(p.numel() for p in trainer.model.parameters())
    print(f"{count} parameters", flush=True)
    write_json(out / "vocabulary.json", list(vocabulary.words))
    if settings.start_from is None:
        trainer.awaken()
    else:
        adopt(data / settings.start_from, trainer.model)
    train(trainer, out)
