"""The model's own output as history: a few live hops before a window is learned.

A net that learned from true histories alone meets, live, histories as it makes them, and drifts.
Here the last frames before the hidden end are replaced by what the model itself emits there, hop
by hop, through the runtime's decoder. Knows nothing of losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.config.model import RootModelConfig
from engine.config.serialize import require
from engine.generate.decoder import PoseDecoder
from engine.generate.sampling import CodeSelection, SamplingConfig, gumbel, sample_codes
from engine.model.builders import build_root_model
from engine.model.part_vae import PartVae
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import part_layout
from engine.motion.skeleton import BodyPart
from training.data.dataset import Batch
from training.data.normalize import Scaling
from training.gesture.onset import beginnings


@dataclass(frozen=True)
class RolloutConfig:
    """Histories that the model generates itself in training (scheduled sampling).

    Attributes:
        share: share of windows with such a history.
        hops: hop lengths in frames; one is drawn for each step.
        frames: generated frames that are fed back, rounded down to a multiple of the hop.
        seed: frames of recorded motion before them.
        temperature: of the code sampling, see `engine.generate.sampling`.
        radius: of the mean shift, see `engine.generate.sampling`.
        latent: parts whose codes are the nearest ones to the predicted latents.

    """

    share: float = 0.0
    hops: tuple[int, ...] = (1, 2, 4, 8)
    frames: int = 8
    seed: int = 16
    temperature: float = 0.7
    radius: float = 0.0
    latent: tuple[BodyPart, ...] = (BodyPart.FACE,)

    def __post_init__(self) -> None:
        require(0.0 <= self.share <= 1.0, "share", "0 to 1", self.share)
        fits = bool(self.hops) and all(1 <= hop <= self.frames for hop in self.hops)
        require(fits, "hops", f"1 to the {self.frames} frames that are fed back", self.hops)
        require(self.seed >= 1, "seed", "at least 1", self.seed)
        require(self.temperature >= 0.0, "temperature", "0 or more", self.temperature)
        require(self.radius >= 0.0, "radius", "0 or more", self.radius)

    @property
    def lead(self) -> int:
        """Frames that a drawn window must be longer than the one that is learned."""
        return self.frames if self.share > 0 else 0


def seed_decoder(parts: Mapping[BodyPart, PartVae]) -> PoseDecoder:
    """The runtime's decoder, for motion to feed back; its travel means nothing.

    Where the body goes is not fed back, so that any global motion serves, a small one best.
    """
    channels = part_layout(BodyPart.LOWER, 0).width
    travel = RootModelConfig(channels, width=4, layers=1, causal=True)
    # Building must not draw from the generator that the weights of the model come from.
    with torch.random.fork_rng(devices=[]):
        walk = build_root_model(travel).eval().requires_grad_(False)
    device = next(parts[BodyPart.FACE].parameters()).device
    face = parts[BodyPart.FACE].decode_codes(torch.zeros(1, 1, dtype=torch.int64, device=device))
    width = face.shape[-1] - part_layout(BodyPart.FACE, 0).width
    return PoseDecoder(parts, walk.to(device), face_width=width)


def seed_context(parts: Mapping[BodyPart, PartVae]) -> int:
    """Codes before a frame that can change the motion fed back; its travel would see more."""
    return max(vae.left_context for vae in parts.values())


class RolloutTask(NamedTuple):
    """Histories to be made: windows of L frames, own `[B]` bool which of them, hop `[B]` (the same
    for all, for a batch is shared out by rows), noise `[B, P, V]` as `Rollout.roll` wants it.
    """

    batch: Batch
    own: Tensor
    hop: Tensor
    noise: Tensor


def last_hop(frames: int, hop: int, seed: int) -> Tensor:
    """The mask `[frames, 1]` of a live window: 0 shows the `seed` frames before the last `hop`."""
    place = torch.arange(frames)
    new = frames - hop
    return ((place < new - seed) | (place >= new)).float()[:, None]


class Rollout:
    """Rolls a model out over the windows of a batch, as the Runner does live.

    decoder: see `seed_decoder`. scaling: of the motion that the model in training is shown.
    lead: of its cue, if it has one.
    """

    def __init__(
        self,
        config: RolloutConfig,
        parts: Mapping[BodyPart, PartVae],
        decoder: PoseDecoder,
        scaling: Scaling,
        lead: int | None = None,
    ) -> None:
        self._config, self._lead = config, lead
        self._sampling = SamplingConfig(config.temperature, mean_shift_radius=config.radius)
        self._parts = parts
        self._decoder, self._context = decoder, seed_context(parts)
        self._scaling = scaling

    @property
    def face(self) -> PartVae:
        """The face's autoencoder, on the device of the training."""
        return self._parts[BodyPart.FACE]

    def into(self, model: nn.Module, motion: Tensor, task: RolloutTask) -> Tensor:
        """Standardised motion `[B, T, 337]` with the histories of `task` in their rows."""
        rows, frames = task.own, motion.shape[1]
        if not rows.any():
            return motion
        batch = Batch(*(x[rows] for x in task.batch))
        made = self.roll(model, batch, frames, int(task.hop[0]), task.noise[rows])
        result = motion.clone()
        result[rows] = self._scaling.apply(made[:, -frames:])
        return result

    @torch.no_grad()
    def roll(
        self, model: nn.Module, batch: Batch, frames: int, hop: int, noise: Tensor | None
    ) -> Tensor:
        """Motion `[B, L, 337]` whose frames before the last `hop` are the model's own.

        batch: windows of L frames, of which the model sees `frames` at a time. noise `[B, P, V]`:
        normal, for choosing classes; it stays the same in all hops, as it hardly changes live.
        """
        motion, codes = batch.motion.clone(), batch.codes.transpose(1, 2).clone()
        end = motion.shape[1] - hop
        training = model.training
        model.eval()
        for first in range(end - self._config.frames // hop * hop, end, hop):
            window = slice(first + hop - frames, first + hop)
            shown = self._inputs(batch, motion, window, hop)
            new = slice(first, first + hop)
            made = model(shown, newest=hop, onsets=self._begun(batch, window))
            codes[:, :, new] = self._choose(made, hop, noise)
            past = max(0, first - self._context)
            decoded = self._decoder.decode(codes[:, :, past : new.stop], hop)
            motion[:, new] = decoded.motion
        model.train(training)
        return motion

    def _begun(self, batch: Batch, window: slice) -> Tensor | None:
        """When hands truly set out: of a model with a cue, the body alone is rolled out."""
        if self._lead is None:
            return None
        return beginnings(batch.until[:, window], self._lead)

    def _inputs(self, batch: Batch, motion: Tensor, window: slice, hop: int) -> WindowInputs:
        seen = self._scaling.apply(motion[:, window])
        mask = last_hop(seen.shape[1], hop, self._config.seed).to(seen).expand_as(seen)
        audio, words = batch.audio[:, window], batch.words[:, window]
        return WindowInputs(seen, mask, audio, words, batch.speaker[:, 0])

    def _choose(self, outputs: WindowOutputs, hop: int, noise: Tensor | None) -> Tensor:
        """Codes `[B, P, hop]` of the newest frames."""
        chosen: list[Tensor] = []
        for p, part in enumerate(BodyPart):
            logits, latents = outputs.logits[p][:, -hop:], outputs.latents[p][:, -hop:]
            own = None if noise is None else noise[:, p, None, : logits.shape[-1]]
            shared = None if own is None else gumbel(own).expand_as(logits)
            choice = (
                CodeSelection.NEAREST_LATENT
                if part in self._config.latent
                else CodeSelection.ARGMAX_OR_SAMPLE
            )
            vae = self._parts[part]
            chosen.append(sample_codes(vae, choice, latents, logits, shared, self._sampling))
        return torch.stack(chosen, 1)


def pick(hops: Sequence[int], generator: torch.Generator) -> int:
    """One of `hops`."""
    return hops[int(torch.randint(len(hops), (1,), generator=generator))]
