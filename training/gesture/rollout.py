"""Rollout (scheduled sampling): training on history that the model generated itself.

A model that is trained on true history only drifts in live use, where the history is its own
output. Here the last frames before the hidden suffix are replaced by the model's output, hop by
hop, through the runtime's decoder.
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
from training.gesture.onset import onset_targets


@dataclass(frozen=True)
class RolloutConfig:
    """Histories that the model generates itself in training (scheduled sampling).

    Attributes:
        share: share of windows with such a history.
        hops: hop lengths in frames; one is drawn for each step.
        frames: generated frames, rounded down to a multiple of the hop.
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
        require(fits, "hops", f"1 to the {self.frames} generated frames", self.hops)
        require(self.seed >= 1, "seed", "at least 1", self.seed)
        require(self.temperature >= 0.0, "temperature", "0 or more", self.temperature)
        require(self.radius >= 0.0, "radius", "0 or more", self.radius)

    @property
    def lead(self) -> int:
        """Frames by which drawn windows are longer than training windows."""
        return self.frames if self.share > 0 else 0


def rollout_decoder(parts: Mapping[BodyPart, PartVae]) -> PoseDecoder:
    """Build the runtime's decoder with a dummy root network.

    The integrated root position is no model input, so that the smallest root network suffices.
    """
    channels = part_layout(BodyPart.LOWER, 0).width
    config = RootModelConfig(channels, width=4, layers=1, causal=True)
    # Forked: building must not advance the generator that initialises the model.
    with torch.random.fork_rng(devices=[]):
        root = build_root_model(config).eval().requires_grad_(False)
    device = next(parts[BodyPart.FACE].parameters()).device
    face = parts[BodyPart.FACE].decode_codes(torch.zeros(1, 1, dtype=torch.int64, device=device))
    width = face.shape[-1] - part_layout(BodyPart.FACE, 0).width
    return PoseDecoder(parts, root.to(device), face_width=width)


def rollout_context(parts: Mapping[BodyPart, PartVae]) -> int:
    """Number of codes before a frame that its motion vector depends on."""
    return max(vae.left_context for vae in parts.values())


class RolloutRequest(NamedTuple):
    """Windows whose history the model is to generate.

    Attributes:
        batch: windows of L frames.
        rows: selected windows `[B]`, bool.
        hop: hop length `[B]`, frames; equal for all, repeated because batches are sharded by rows.
        noise: normal noise `[B, P, V]` for the code sampling.

    """

    batch: Batch
    rows: Tensor
    hop: Tensor
    noise: Tensor


def hop_mask(frames: int, hop: int, seed: int) -> Tensor:
    """Mask `[frames, 1]` of a live window: 0 for the `seed` frames before the last `hop`."""
    place = torch.arange(frames)
    new = frames - hop
    return ((place < new - seed) | (place >= new)).float()[:, None]


class Rollout:
    """Generates motion with a model over the windows of a batch, as the Runner does live.

    decoder: from `rollout_decoder`. scaling: of the motion input during training.
    lead: lead frames of the onset detector; None without one.
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
        self._decoder, self._context = decoder, rollout_context(parts)
        self._scaling = scaling

    @property
    def face(self) -> PartVae:
        """Autoencoder of the face, on the training device."""
        return self._parts[BodyPart.FACE]

    def fill(self, model: nn.Module, motion: Tensor, request: RolloutRequest) -> Tensor:
        """Standardised motion `[B, T, 337]` with generated history in the requested rows."""
        rows, frames = request.rows, motion.shape[1]
        if not rows.any():
            return motion
        batch = Batch(*(x[rows] for x in request.batch))
        generated = self.generate(model, batch, frames, int(request.hop[0]), request.noise[rows])
        result = motion.clone()
        result[rows] = self._scaling.apply(generated[:, -frames:])
        return result

    @torch.no_grad()
    def generate(
        self, model: nn.Module, batch: Batch, frames: int, hop: int, noise: Tensor | None
    ) -> Tensor:
        """Motion `[B, L, 337]` with generated frames before the last `hop`.

        batch: windows of L frames. frames: frames per model call. noise `[B, P, V]`: normal, for
        the code sampling; constant over all hops, because live noise changes slowly.
        """
        motion, codes = batch.motion.clone(), batch.codes.transpose(1, 2).clone()
        end = motion.shape[1] - hop
        training = model.training
        model.eval()
        for first in range(end - self._config.frames // hop * hop, end, hop):
            window = slice(first + hop - frames, first + hop)
            inputs = self._inputs(batch, motion, window, hop)
            new = slice(first, first + hop)
            outputs = model(inputs, newest=hop, onsets=self._onsets(batch, window))
            codes[:, :, new] = self._sample(outputs, hop, noise)
            past = max(0, first - self._context)
            decoded = self._decoder.decode(codes[:, :, past : new.stop], hop)
            motion[:, new] = decoded.motion
        model.train(training)
        return motion

    def _onsets(self, batch: Batch, window: slice) -> Tensor | None:
        """True stroke onsets, so that errors of the onset detector do not matter."""
        if self._lead is None:
            return None
        return onset_targets(batch.frames_until_stress[:, window], self._lead)

    def _inputs(self, batch: Batch, motion: Tensor, window: slice, hop: int) -> WindowInputs:
        scaled = self._scaling.apply(motion[:, window])
        mask = hop_mask(scaled.shape[1], hop, self._config.seed).to(scaled).expand_as(scaled)
        audio, words = batch.audio[:, window], batch.words[:, window]
        return WindowInputs(scaled, mask, audio, words, batch.speaker[:, 0])

    def _sample(self, outputs: WindowOutputs, hop: int, noise: Tensor | None) -> Tensor:
        """Sample codes `[B, P, hop]` of the newest frames."""
        codes: list[Tensor] = []
        for p, part in enumerate(BodyPart):
            logits, latents = outputs.logits[p][:, -hop:], outputs.latents[p][:, -hop:]
            normal = None if noise is None else noise[:, p, None, : logits.shape[-1]]
            shared = None if normal is None else gumbel(normal).expand_as(logits)
            selection = (
                CodeSelection.NEAREST_LATENT
                if part in self._config.latent
                else CodeSelection.ARGMAX_OR_SAMPLE
            )
            vae = self._parts[part]
            codes.append(sample_codes(vae, selection, latents, logits, shared, self._sampling))
        return torch.stack(codes, 1)


def draw_hop(hops: Sequence[int], generator: torch.Generator) -> int:
    """Draw one of `hops`."""
    return hops[int(torch.randint(len(hops), (1,), generator=generator))]
