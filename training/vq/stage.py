"""The stage `vq`: the four parts' VQ-VAEs (EMAGE section 4.1) on clips and composed speech.

Reads DATA/<source folder>/**/*.npz, writes OUT/<part>/{config.json,model.safetensors} and the
part's checkpoint and losses.
"""

import math
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from engine.bundle.io import load_bundle
from engine.config.model import PartVaeConfig, QuantizerKind
from engine.config.serialize import from_mapping, require, to_mapping
from engine.errors import ConfigError
from engine.model.builders import build_part_vae
from engine.model.conv import TemporalConv
from engine.model.part_vae import PartVae
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart
from training.data.windows import Source, WindowSampler, generator, load_sources
from training.loop.distributed import Distributed
from training.loop.loop import (
    RUN_KEYS,
    Loop,
    LoopSettings,
    LossTerms,
    RunConfig,
    TrainingTask,
    autocast,
)
from training.loop.lr_schedule import LrSchedule
from training.module_io import save_module
from training.vq.losses import LossWeights, PartLoss
from training.vq.quantizer_training import CodeUse, QuantizerTrainer, code_use
from training.warm_start import freeze_codebook


@dataclass(frozen=True)
class PartTraining:
    """Size and training of one part's network.

    Attributes:
        width: channels of the hidden layers.
        codes: entries of the codebook.
        code_dim: width of an entry.
        layers: convolutional layers of encoder and decoder.
        steps: optimizer steps.
        loss: weights of the loss terms.
        quantizer: kind of quantizer, see `PartVaeConfig`.
        stages: codebooks of a residual quantizer.
        levels: levels per channel of a finite scalar quantizer; they determine the number of codes.

    """

    width: int
    codes: int = 256
    code_dim: int = 64
    layers: int = 2
    steps: int = 2000
    loss: LossWeights = field(default_factory=LossWeights)
    quantizer: QuantizerKind = QuantizerKind.EMA
    stages: int = 1
    levels: tuple[int, ...] = ()


@dataclass(frozen=True)
class VqTraining:
    """Settings of the stage.

    Attributes:
        parts: network of each body part.
        sources: folders of clips.
        causal: convolutions without future frames, as live use needs.
        window: frames per window.
        stretch: successive frames of a window on which positions and angles are compared.
        batch: windows per step.
        learning_rate: before the factor of `lr_schedule`.
        warm_up: share of the steps without quantisation.
        commitment: weight of the commitment loss.
        seed: of all random draws.
        threads: threads of PyTorch per worker.
        workers: parts trained at the same time.
        report_every: steps between reports.
        max_grad_norm: gradients are clipped to this norm.
        lr_schedule: factor of the learning rate by step.
        loop: settings of the computation.
        bundle: folder of a bundle in DATA whose codebooks and decoders are kept; only the encoders,
            which bundles lack, are trained. Sizes are those of the bundle, and its root motion
            network is written too.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = RUN_KEYS

    parts: dict[BodyPart, PartTraining]
    sources: tuple[Source, ...]
    causal: bool = True
    window: int = 64
    stretch: int = 20
    batch: int = 32
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    commitment: float = 0.25
    seed: int = 1
    threads: int = 1
    workers: int = 2
    report_every: int = 200
    max_grad_norm: float = 1.0
    lr_schedule: LrSchedule = field(default_factory=LrSchedule)
    loop: LoopSettings = field(default_factory=LoopSettings)
    bundle: str | None = None


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
    assert first.bias is not None
    assert last.bias is not None
    first.bias.sub_((first.weight * seen.mean(0)[None, :, None]).sum((1, 2)))
    spread = wanted.std(0).clip(least)
    last.weight.mul_(spread[:, None, None])
    last.bias.mul_(spread).add_(wanted.mean(0))


class PartObjective(nn.Module):
    """Learns one part: first an autoencoder, then with the quantiser.

    team: whose latents the codebooks learn from.
    """

    def __init__(
        self,
        vae: PartVae,
        kind: QuantizerKind,
        compare: PartLoss,
        config: VqTraining,
        steps: int,
        team: Distributed,
    ) -> None:
        super().__init__()
        self.vae = vae
        self.quantizer = QuantizerTrainer(vae.quantizer, kind)
        self._compare = compare.to(team.device)
        self._config, self._team = config, team
        self._learns_codes = config.bundle is None
        if not self._learns_codes:
            cast(nn.Module, vae.quantizer).requires_grad_(False)
        at_once = self.quantizer.rounds_at_once or not self._learns_codes
        self._start = 0 if at_once else int(config.warm_up * steps)
        # Restarts end early enough for new codes to settle.
        self._last_restart = 0.8 * steps

    def forward(self, x: Tensor, step: int, draws: torch.Generator) -> LossTerms:
        """Terms for windows `x [b, T, C]`; learns the codebook on the way."""
        config = self._config
        with autocast(config.loop, x.device):
            latents = self.vae.encode(x)
        latents = latents.float()
        terms: dict[str, Tensor] = {}
        if step >= self._start:
            latents, terms = self._quantise(latents, step, draws)
        with autocast(config.loop, x.device):
            made = self.vae.decode(latents)
        places = x.shape[1] - config.stretch + 1
        first = int(torch.randint(places, (1,), generator=draws))
        terms |= self._compare(made.float(), x, first)
        return LossTerms(torch.stack(list(terms.values())).sum(), terms)

    def _quantise(
        self, latents: Tensor, step: int, draws: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Vectors `[b, T, D]` of latents and terms, of the codebooks as before this step."""
        every = self._team.gather(latents).flatten(0, 1)
        if step == self._start and self._learns_codes:
            self.quantizer.start(every, draws)
        quantized = self.vae.quantize(latents)
        terms = self.quantizer.terms(latents, quantized.codes, self._config.commitment)
        if self._learns_codes:
            self.quantizer.step(every, draws, restart=step < self._last_restart)
        return quantized.vectors, terms


def part_learner(
    part: BodyPart, settings: VqTraining, sampler: WindowSampler, team: Distributed, out: Path
) -> TrainingTask:
    """A fresh network for `part` of what the sampler draws, written to OUT/<part>."""
    own = settings.parts[part]
    torch.manual_seed(settings.seed)
    sample = sampler.draw(256, generator(settings.seed)).flatten(0, 1)
    channels = sample.shape[1]
    vae_config = PartVaeConfig(
        channels, own.width, own.code_dim, math.prod(own.levels) if own.levels else own.codes,
        own.layers, settings.causal, settings.commitment, own.quantizer, own.stages, own.levels,
    )  # fmt: skip
    kept = None if settings.bundle is None else load_bundle(Path(settings.bundle))
    if kept is not None:
        vae_config = kept.config.parts[part]
        require(
            vae_config.channels == channels, "bundle", f"{part} of {channels} channels", "other"
        )
    vae = build_part_vae(vae_config)
    assert vae.encoder is not None  # built with it
    start_from_statistics(vae.encoder, vae.decoder, sample, sample)
    if kept is not None:
        vae = freeze_codebook(kept, part, vae)
    compare = PartLoss(part, face_width(part, channels), own.loss, settings.stretch)
    objective = PartObjective(vae, vae_config.quantizer, compare, settings, own.steps, team)
    trained = [p for p in vae.parameters() if p.requires_grad]
    return TrainingTask(
        name=str(part),
        config=to_mapping(replace(settings, parts={part: own})),
        objective=objective,
        optimizer=torch.optim.AdamW(
            trained, settings.learning_rate, (0.9, 0.99), weight_decay=1e-4
        ),
        draw=lambda draws, step: sampler.draw(settings.batch, draws),
        export=lambda: save_module(out / part, vae_config, vae),
        networks=(vae.encoder, vae.decoder),
        # Not in the warm-up, and of a bundle's the way in alone.
        partial=any(p.requires_grad for p in cast(nn.Module, vae.quantizer).parameters()),
    )


@torch.no_grad()
def usage(vae: PartVae, clips: list[Tensor], device: torch.device) -> tuple[CodeUse, ...]:
    """How the clips `[T, C]` use each codebook."""
    codes = [vae.nearest(vae.encode(clip[None].to(device)))[0] for clip in clips]
    return code_use(torch.cat(codes), vae.quantizer.sizes)


def train_part(
    config: dict[str, Any], part: BodyPart, data: Path, out: Path, team: Distributed | None = None
) -> str:
    """Train one part of a configuration; gives a line that says how it went."""
    settings, team = from_mapping(VqTraining, config), team or Distributed()
    if settings.bundle is not None:
        settings = replace(settings, bundle=str(data / settings.bundle))
    torch.set_num_threads(settings.threads)
    began = time.monotonic()
    clips = load_sources(data, list(settings.sources), part)
    learner = part_learner(part, settings, WindowSampler(clips, settings.window), team, out)
    steps = settings.parts[part].steps
    course = RunConfig(
        steps, settings.learning_rate, settings.seed, settings.lr_schedule, settings.max_grad_norm,
        settings.report_every,
    )  # fmt: skip
    Loop(learner, course, settings.loop, team, out / part).run()
    vae = learner.objective.get_submodule("vae")
    assert isinstance(vae, PartVae)
    used = usage(vae, [clip for _, group in clips for clip in group[::2]], team.device)
    count = sum(p.numel() for p in vae.parameters())
    seconds = time.monotonic() - began
    uses = ", then ".join(map(str, used))
    return f"{part}: {count} parameters, codes used: {uses}, {seconds:.0f} s"


def run(config: dict[str, Any], data: Path, out: Path, team: Distributed | None = None) -> None:
    """Stage: train every part that the configuration lists.

    `workers` of them at a time, or one after the other by all members of a team.
    """
    settings = from_mapping(VqTraining, config)
    if not settings.parts:
        raise ConfigError("vq: expected at least one part in [parts], such as [parts.upper]")
    if settings.bundle is not None and (team is None or team.leads):
        kept = load_bundle(data / settings.bundle)
        save_module(out / "global", kept.config.root_model, kept.root_model)
    if settings.workers == 1 or (team is not None and team.size > 1):
        for part in settings.parts:
            print(train_part(config, part, data, out, team), flush=True)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, mp_context=spawn) as pool:
        jobs = [pool.submit(train_part, config, part, data, out, team) for part in settings.parts]
        for job in jobs:
            print(job.result(), flush=True)
