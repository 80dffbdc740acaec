"""Stage `root-motion`: root motion from the lower body (EMAGE section 4.3).

Trained on recorded lower bodies and on their reconstructions, whose legs jitter, so that the root
follows the planted feet of the displayed body. Reads OUT/lower of the stage `vq`; writes
OUT/global/{config.json,model.safetensors}, the checkpoint and the loss log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config.model import PartVaeConfig, RootModelConfig
from engine.config.serialize import from_mapping, to_mapping
from engine.model.builders import build_part_vae, build_root_model
from engine.model.part_vae import PartVae
from engine.motion.channels import Field, Layout, part_layout
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
from training.module_io import load_config, load_weights, save_module
from training.vq.losses import FootLoss, changes
from training.vq.stage import initialize_from_statistics

LOWER = part_layout(BodyPart.LOWER, 0)
ZEROED = ("translation",)
"""Fields of the lower vector that are zeroed in the input, because they are the output."""

SAMPLE = Layout(
    "global sample",
    (Field("lower", LOWER.width), Field("root", 3), Field("planted", 4), Field("feet", 12),
     Field("height", 4)),
)  # fmt: skip
"""Training sample of a frame: input (translation zeroed), true root velocities and height, true
planted feet, foot positions of the input for a root at rest, true heights of the feet."""

PLANE = [0, 2]
"""Indices of the velocities among the three channels of root motion."""
VELOCITY_M_S = 0.05
"""Typical velocity of the root during weight shifts."""


@dataclass(frozen=True)
class RootMotionTraining:
    """Settings of the stage.

    Attributes:
        sources: folders of clips.
        width: channels of the network's hidden layers.
        layers: convolutional layers.
        causal: convolutions without future frames, as live use needs.
        steps: optimizer steps.
        batch: windows per step.
        window: frames per window.
        learning_rate: before the factor of `lr_schedule`.
        fps: frame rate of the clips.
        foot: weight of the loss on planted feet.
        seed: of all random draws.
        threads: threads of PyTorch.
        report_every: steps between reports.
        max_grad_norm: gradients are clipped to this norm.
        lr_schedule: factor of the learning rate by step.
        loop: settings of the computation.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = RUN_KEYS

    sources: tuple[Source, ...]
    width: int = 64
    layers: int = 2
    causal: bool = True
    steps: int = 1500
    batch: int = 32
    window: int = 64
    learning_rate: float = 1e-3
    fps: float = 30.0
    foot: float = 0.5
    seed: int = 1
    threads: int = 1
    report_every: int = 200
    max_grad_norm: float = 1.0
    lr_schedule: LrSchedule = field(default_factory=LrSchedule)
    loop: LoopSettings = field(default_factory=LoopSettings)


def hide_translation(lower: Tensor) -> Tensor:
    """Network input of lower vectors `[..., 61]`."""
    fields = LOWER.unpack(lower)
    return LOWER.pack(
        {name: torch.zeros_like(x) if name in ZEROED else x for name, x in fields.items()}
    )


def samples(given: Tensor, true: Tensor, feet: FootLoss) -> Tensor:
    """SAMPLE vectors `[T, 85]` of one clip, from its input and true lower vectors `[T, 61]`."""
    given_feet = feet.feet(LOWER.unpack(given)["rot6d"][None])[0]
    fields = LOWER.unpack(true)
    recorded, root = feet.feet(fields["rot6d"][None]), fields["translation"]
    values = {"lower": hide_translation(given), "root": root, "feet": given_feet.flatten(1)}
    values["planted"] = feet.planted(recorded, root[None])[0]
    values["height"] = recorded[0, ..., 1] + root[:, 1:2]
    return SAMPLE.pack(values)


def reconstruct(vae: PartVae, clip: Tensor) -> Tensor:
    """Reconstruct a clip `[T, C]` from its codes."""
    with torch.no_grad():
        return vae.decode_codes(vae.nearest(vae.encode(clip[None])))[0]


def loss(predicted: Tensor, batch: Tensor, feet: FootLoss, weight: float) -> dict[str, Tensor]:
    """Loss terms of the network's output `[B, T, 3]` on SAMPLE vectors `[B, T, 85]`.

    Velocities have a squared and an absolute error. Bodies mostly stand, so that under the absolute
    error alone the network never moves. Under the squared error alone a standing body creeps by a
    millimetre per second, metres in an hour.
    """
    fields = SAMPLE.unpack(batch)
    root, given = fields["root"], fields["feet"].unflatten(-1, (4, 3))
    height = given[..., 1] + predicted[..., 1:2]
    speed = feet.speeds(given, predicted) / VELOCITY_M_S
    ours, true = (x[..., PLANE] / VELOCITY_M_S for x in (predicted, root))
    return {
        "velocity": F.mse_loss(ours, true),
        "creep": 0.5 * F.l1_loss(ours, true),
        "height": 20.0 * F.l1_loss(predicted[..., 1], root[..., 1]),
        "smooth": 5.0 * F.l1_loss(changes(predicted, 1), changes(root, 1)),
        "floor": 10.0 * ((height - fields["height"]).abs() * fields["planted"]).mean(),
        "feet": weight * (speed.square() * fields["planted"][:, :-1]).mean(),
    }


def prepare(data: Path, out: Path, settings: RootMotionTraining) -> WindowSampler:
    """Sampler of SAMPLE vectors of every clip, as recorded and as reconstructed."""
    vae_config = load_config(out / BodyPart.LOWER, PartVaeConfig)
    vae, feet = build_part_vae(vae_config), FootLoss(settings.fps)
    load_weights(out / BodyPart.LOWER, vae)
    groups = []
    for share, lower in load_sources(data, list(settings.sources), BodyPart.LOWER):
        decoded = [samples(reconstruct(vae, clip), clip, feet) for clip in lower]
        groups.append((share, decoded))
        groups.append((share / 2, [samples(clip, clip, feet) for clip in lower]))
    return WindowSampler(groups, settings.window)


class RootMotionObjective(nn.Module):
    """Root network with its loss on SAMPLE vectors."""

    def __init__(self, network: nn.Module, feet: FootLoss, settings: RootMotionTraining) -> None:
        super().__init__()
        self.network = network
        self._feet, self._settings = feet, settings

    def forward(self, batch: Tensor, step: int, draws: torch.Generator) -> LossTerms:
        """Loss terms of `batch [b, T, 85]`."""
        with autocast(self._settings.loop, batch.device):
            predicted = self.network(SAMPLE.unpack(batch)["lower"])
        terms = loss(predicted.float(), batch, self._feet, self._settings.foot)
        return LossTerms(torch.stack(list(terms.values())).sum(), terms)


def root_motion_task(
    settings: RootMotionTraining, sampler: WindowSampler, distributed: Distributed, out: Path
) -> TrainingTask:
    """Build a root network, written to OUT/global, and its training task."""
    torch.manual_seed(settings.seed)
    own = RootModelConfig(LOWER.width, 3, settings.width, settings.layers, settings.causal)
    network = build_root_model(own)
    count = sum(p.numel() for p in network.parameters())
    print(f"global: {count} parameters", flush=True)
    first = SAMPLE.unpack(sampler.draw(256, generator(settings.seed)).flatten(0, 1))
    initialize_from_statistics(
        network.encoder, network.decoder, first["lower"], first["root"], 0.01
    )
    feet = FootLoss(settings.fps).to(distributed.device)
    return TrainingTask(
        name="global",
        config=to_mapping(settings),
        objective=RootMotionObjective(network, feet, settings),
        optimizer=torch.optim.AdamW(
            network.parameters(), settings.learning_rate, weight_decay=1e-4
        ),
        draw=lambda draws, step: sampler.draw(settings.batch, draws),
        export=lambda: save_module(out / "global", own, network),
        networks=(network,),
    )


def run(
    config: dict[str, Any], data: Path, out: Path, distributed: Distributed | None = None
) -> None:
    """Run the stage."""
    settings, distributed = from_mapping(RootMotionTraining, config), distributed or Distributed()
    torch.set_num_threads(settings.threads)
    run_config = RunConfig(
        settings.steps,
        settings.learning_rate,
        settings.seed,
        settings.lr_schedule,
        settings.max_grad_norm,
        settings.report_every,
    )
    task = root_motion_task(settings, prepare(data, out, settings), distributed, out)
    Loop(task, run_config, settings.loop, distributed, out / "global").run()
