"""Selection of codes from the transformer's output: arg-max, sampled, or nearest latent.

Sampling uses the Gumbel trick with noise that changes slowly from frame to frame, so that a code is
kept for some frames instead of flickering. The noise of a frame depends only on the seed and the
frame index: no split of the audio and no restart changes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.motion.skeleton import BodyPart


class CodeSelection(StrEnum):
    """Selection of a part's codes from the outputs of the transformer."""

    ARGMAX_OR_SAMPLE = "argmax_or_sample"  # class scores; entry of the first codebook only
    NEAREST_LATENT = "nearest_latent"  # the code nearest to the regressed latent


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling of codes from class scores. Raises ConfigError for a value out of range.

    Attributes:
        temperature: factor of the Gumbel noise; 0 is arg-max.
        noise_correlation: correlation of the noise of consecutive frames, AR(1); 0 to below 1.
        mean_shift_radius: radius of the mean shift that replaces a sampled code by the mean of
            likely codes near it, which reduces jitter between similar codes; unit: mean distance to
            the nearest entry of the codebook; 0 disables it.
        temperatures: temperature of single parts, instead of `temperature`.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "persistence": "noise_correlation",
        "radius": "mean_shift_radius",
    }

    temperature: float = 0.0
    noise_correlation: float = 0.9
    mean_shift_radius: float = 0.0
    temperatures: dict[BodyPart, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        correlated = 0 <= self.noise_correlation < 1
        if self.temperature < 0 or not correlated or self.mean_shift_radius < 0:
            raise ConfigError(
                "sampling needs temperature >= 0, 0 <= noise_correlation < 1 and "
                f"mean_shift_radius >= 0, got {self.temperature}, {self.noise_correlation} and "
                f"{self.mean_shift_radius}"
            )
        if any(value < 0 for value in self.temperatures.values()):
            got = ", ".join(f"{part} {value:g}" for part, value in self.temperatures.items())
            raise ConfigError(f"sampling needs temperatures >= 0, got {got}")

    def of(self, part: BodyPart) -> "SamplingConfig":
        """The settings of one part."""
        own = self.temperatures.get(part, self.temperature)
        return replace(self, temperature=own, temperatures={})

    @property
    def draws(self) -> bool:
        """Whether any part is sampled."""
        return any(self.of(part).temperature > 0 for part in BodyPart)


class CorrelatedNoise:
    """Slowly varying standard normal noise `[N, V]` for each frame of one stream."""

    def __init__(self, seed: int, rows: int, classes: int, correlation: float) -> None:
        self._seed = seed
        self._shape = (rows, classes)
        self._correlation = correlation
        self._value = self._fresh(-1)

    def _fresh(self, frame: int) -> np.ndarray:
        counter = [0, 0, 0, frame + 1]
        generator = np.random.Generator(np.random.Philox(key=self._seed, counter=counter))
        return generator.standard_normal(self._shape, np.float32)

    def next(self, frame: int) -> np.ndarray:
        """The noise of `frame`; frames must be requested in order."""
        keep = self._correlation
        self._value = keep * self._value + (1 - keep * keep) ** 0.5 * self._fresh(frame)
        return self._value

    def snapshot(self) -> np.ndarray:
        """A copy of the state."""
        return self._value.copy()

    def restore(self, value: np.ndarray) -> None:
        """Continue from a snapshot."""
        self._value = value.copy()


def gumbel(noise: Tensor) -> Tensor:
    """Standard Gumbel noise from standard normal noise, elementwise."""
    uniform = torch.special.ndtr(noise).clamp(1e-6, 1 - 1e-6)
    return -torch.log(-torch.log(uniform))


def gumbel_choice(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Codes `[...]` drawn from scores `[..., V]` with Gumbel noise of the same shape."""
    return torch.add(logits, noise, alpha=temperature).argmax(-1)


class CodebookView(Protocol):
    """The parts of `engine.model.part_vae.PartVae` that code selection uses."""

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes nearest to latents."""

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """Classes after one mean-shift step."""

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes of classes."""


def sample_codes(
    vae: CodebookView,
    choice: CodeSelection,
    latents: Tensor,
    logits: Tensor,
    noise: Tensor | None,
    config: SamplingConfig,
) -> Tensor:
    """Codes `[B, n]` of a part from latents `[B, n, D]` and scores `[B, n, V]`.

    noise: see `gumbel`, in the shape of the scores; None for the likeliest class.
    """
    if choice is CodeSelection.NEAREST_LATENT:
        return vae.nearest(latents)
    if noise is None or not config.temperature:
        classes = logits.argmax(-1)
    else:
        classes = gumbel_choice(logits, noise, config.temperature)
    if config.mean_shift_radius:
        classes = vae.mean_shift(classes, logits, config.mean_shift_radius)
    return vae.codes_from_classes(classes, latents)
