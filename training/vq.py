"""The stage `vq`: the four parts' VQ-VAEs (EMAGE section 4.1) on clips and composed speech.

Reads DATA/<source folder>/**/*.npz, writes OUT/<part>/{config.json,model.safetensors}.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.config import PartVaeConfig, from_mapping
from engine.errors import ConfigError
from engine.face import ARKIT_51
from engine.layout import part_layout
from engine.model.builders import build_part_vae
from engine.model.conv import TemporalConv
from engine.model.part_vae import PartVae
from engine.skeleton import BodyPart
from training.codebook import CodebookTrainer, code_usage
from training.losses import LossWeights, PartLoss
from training.store import save_module
from training.windows import Source, WindowSampler, generator, load_sources


@dataclass(frozen=True)
class PartTraining:
    """The size of one part's network and how long it learns."""

    width: int
    codes: int = 256
    code_dim: int = 64
    layers: int = 2
    steps: int = 2000
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class VqTraining:
    """Settings of the stage. warm_up: the share of the steps without quantising.

    workers: parts trained at the same time, each with `threads` threads.
    """

    parts: dict[BodyPart, PartTraining]
    sources: tuple[Source, ...]
    causal: bool = True
    window: int = 64
    stretch: int = 20
    batch: int = 32
    rate: float = 1e-3
    warm_up: float = 0.1
    commitment: float = 0.25
    seed: int = 1
    threads: int = 1
    workers: int = 2
    report_every: int = 200


def schedule(step: int, steps: int) -> float:
    """The learning rate's factor: up over the first 50 steps, then down along a half cosine."""
    rise = min(1.0, (step + 1) / 50)
    fall = 0.5 + 0.5 * torch.cos(torch.tensor(step / steps * torch.pi)).item()
    return rise * (0.01 + 0.99 * fall)


def face_width(part: BodyPart, channels: int) -> int:
    """How many coefficients a face of `channels` has; the other parts' layouts do not ask."""
    return channels - part_layout(part, 0).width if part is BodyPart.FACE else ARKIT_51.width


@torch.no_grad()
def start_from_statistics(
    encoder: nn.Module, decoder: nn.Module, seen: Tensor, wanted: Tensor, least: float = 0.05
) -> None:
    """Set fresh weights so that the first layer sees, and the last one gives, data of unit spread.

    seen `[N, C]` goes in, wanted `[N, C']` should come out; least: no channel counts as narrower.
    Rotations lie far from zero and hardly move: otherwise hundreds of steps are spent on finding
    the mean pose.
    """
    first = next(m for m in encoder.modules() if isinstance(m, TemporalConv))
    last = [m for m in decoder.modules() if isinstance(m, TemporalConv)][-1]
    first.weight.div_(seen.std(0).clip(least)[None, :, None])
    first.bias.sub_((first.weight * seen.mean(0)[None, :, None]).sum((1, 2)))
    spread = wanted.std(0).clip(least)
    last.weight.mul_(spread[:, None, None])
    last.bias.mul_(spread).add_(wanted.mean(0))


class PartTrainer:
    """Trains one part: first an autoencoder, then with the codebook."""

    def __init__(
        self,
        part: BodyPart,
        own: PartTraining,
        config: VqTraining,
        face_width: int = ARKIT_51.width,
    ) -> None:
        self.part, self.own, self.config = part, own, config
        torch.manual_seed(config.seed)
        channels = part_layout(part, face_width).width
        self.vae_config = PartVaeConfig(
            channels, own.width, own.code_dim, own.codes, own.layers, config.causal,
            config.commitment,
        )  # fmt: skip
        self.vae: PartVae = build_part_vae(self.vae_config)
        assert self.vae.encoder is not None  # built with it
        self.encoder = self.vae.encoder
        self.codebook = CodebookTrainer(self.vae.quantizer)
        self.generator = generator(config.seed)
        self.compare = PartLoss(part, face_width, own.loss, config.stretch)
        trained = [p for p in self.vae.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=config.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Terms of the loss for windows `x [B, T, C]`; learns the codebook on the way."""
        latents = self.vae.encode(x)
        flat = latents.detach().flatten(0, 1)
        start = int(self.config.warm_up * self.own.steps)
        terms: dict[str, Tensor] = {}
        if step == start:
            self.codebook.start(flat, self.generator)
        if step >= start:
            vectors = self.vae.quantizer.lookup(self.vae.nearest(latents.detach()))
            terms["commitment"] = self.config.commitment * (latents - vectors).square().mean()
            # Restarts end early enough for new codes to settle.
            self.codebook.step(flat, self.generator, restart=step < 0.8 * self.own.steps)
            latents = latents + (vectors - latents).detach()
        made = self.vae.decode(latents)
        places = x.shape[1] - self.config.stretch + 1
        first = int(torch.randint(places, (1,), generator=self.generator))
        return terms | self.compare(made, x, first)

    def step(self, x: Tensor, step: int) -> dict[str, float]:
        """One step of the optimiser; gives the terms as numbers."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * schedule(step, self.own.steps)
        terms = self.loss(x, step)
        self.optimizer.zero_grad(set_to_none=True)
        total = sum(terms.values(), torch.zeros(()))
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step()
        return {name: float(value.detach()) for name, value in terms.items()}

    def train(self, sampler: WindowSampler, out: Path) -> None:
        """All steps, with a checkpoint and a line of progress now and then."""
        began, steps = time.monotonic(), self.own.steps
        for step in range(steps):
            terms = self.step(sampler.draw(self.config.batch, self.generator), step)
            if (step + 1) % self.config.report_every == 0 or step == steps - 1:
                left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
                shown = " ".join(f"{name} {value:.4f}" for name, value in terms.items())
                print(f"{self.part} {step + 1}/{steps} {shown}, {left:.0f} s left", flush=True)
                save_module(out / self.part, self.vae_config, self.vae)


def usage(vae: PartVae, clips: list[Tensor]) -> float:
    """The share of codes that the clips `[T, C]` use."""
    with torch.no_grad():
        codes = [vae.nearest(vae.encode(clip[None]))[0] for clip in clips]
    return code_usage(torch.cat(codes), vae.codes)


def train_part(config: dict[str, Any], part: BodyPart, data: Path, out: Path) -> str:
    """Train one part of a configuration; gives a line that says how it went."""
    settings = from_mapping(VqTraining, config)
    torch.set_num_threads(settings.threads)
    began = time.monotonic()
    clips = load_sources(data, list(settings.sources), part)
    sampler = WindowSampler(clips, settings.window)
    channels = next(clip.shape[-1] for _, group in clips for clip in group)
    trainer = PartTrainer(part, settings.parts[part], settings, face_width(part, channels))
    sample = sampler.draw(256, generator(settings.seed)).flatten(0, 1)
    start_from_statistics(trainer.encoder, trainer.vae.decoder, sample, sample)
    trainer.train(sampler, out)
    used = usage(trainer.vae, [clip for _, group in clips for clip in group[::2]])
    count = sum(p.numel() for p in trainer.vae.parameters())
    seconds = time.monotonic() - began
    return f"{part}: {count} parameters, {100 * used:.0f} % of codes used, {seconds:.0f} s"


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Stage: train every part that the configuration lists, `workers` of them at a time."""
    settings = from_mapping(VqTraining, config)
    if not settings.parts:
        raise ConfigError("vq: expected at least one part in [parts], such as [parts.upper]")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, mp_context=spawn) as pool:
        jobs = [pool.submit(train_part, config, part, data, out) for part in settings.parts]
        for job in jobs:
            print(job.result(), flush=True)
