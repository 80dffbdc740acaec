"""One hop of the networks: a window in, new codes and decoded frames out. Remembers nothing.

The piecewise way: a kernel, the choice of codes, a decoder, one after the other.
`engine.kernels.fused_step` does the same as one graph. Knows neither streams nor schedules.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.generate.decoder import OVERLAP, Decoded, Decoder
from engine.generate.sampling import CodeSelection, SamplingConfig, sample_codes
from engine.model.part_vae import PartVae
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.skeleton import BodyPart
from engine.timing import Stage, Watch

Draw = Callable[[], Tensor | None]
"""Draws a hop's Gumbel noise `[B, P, n, V]`, once; None where nothing is sampled."""


class CodeSampler:
    """Picks the codes of all parts from what the transformer predicts, see
    `engine.generate.sampling`.

    choices: of each part; classes unless given. samples: whether it takes noise, `classes` wide.
    widths: of each part's latents.
    """

    def __init__(
        self,
        parts: Mapping[BodyPart, PartVae],
        choices: Mapping[BodyPart, CodeSelection],
        sampling: SamplingConfig,
    ) -> None:
        self.samples = sampling.draws
        self._parts = [parts[part] for part in BodyPart]
        self.classes = max(vae.classes for vae in self._parts)
        self.widths = [vae.code_dim for vae in self._parts]
        self._choices = [choices.get(part, CodeSelection.ARGMAX_OR_SAMPLE) for part in BodyPart]
        self._sampling = [sampling.of(part) for part in BodyPart]

    def __call__(self, outputs: WindowOutputs, noise: Tensor | None, count: int) -> Tensor:
        """Codes `[B, P, count]` of the newest frames; noise `[B, P, count, V]` to sample with.

        A kernel may give more frames; ShapeError where it gives fewer.
        """
        given = outputs.latents[0].shape[1]
        if given < count:
            raise ShapeError(
                f"the schedule needs {count} frames of the kernel, which gives {given}"
            )
        chosen = []
        for p, (vae, choice) in enumerate(zip(self._parts, self._choices, strict=True)):
            logits = outputs.logits[p][:, given - count :]
            own = None if noise is None else noise[:, p, :, : logits.shape[-1]]
            latents = outputs.latents[p][:, given - count :]
            chosen.append(sample_codes(vae, choice, latents, logits, own, self._sampling[p]))
        return torch.stack(chosen, 1)


class StepOutput(NamedTuple):
    """codes `[B, P, n]` of the new frames; decoded: these and the OVERLAP frames before them."""

    codes: Tensor
    decoded: Decoded


class HopStep(Protocol):
    """All that the networks do for a hop."""

    def __call__(
        self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch
    ) -> StepOutput:
        """The newest frames of a window, decoded behind the codes `history [B, P, C]`.

        watch: is called around the stages KERNEL, CHOOSE and DECODE, or those of them that can be
        told apart.
        """
        ...


class StagedStep:
    """Kernel, choice and decoder, one after the other.

    count: newest frames n that are taken of each window.
    """

    def __init__(self, kernel: Kernel, chooser: CodeSampler, decoder: Decoder, count: int) -> None:
        self._kernel = kernel
        self._chooser = chooser
        self._decoder = decoder
        self._count = count

    def codes(self, inputs: WindowInputs, draw: Draw, watch: Watch, count: int) -> Tensor:
        """Codes `[B, P, count]` of a window's newest frames, not decoded."""
        with watch(Stage.KERNEL):
            outputs = self._kernel(inputs)
        with watch(Stage.CHOOSE):
            return self._chooser(outputs, draw(), count)

    def __call__(
        self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch
    ) -> StepOutput:
        """See `HopStep`."""
        new = self.codes(inputs, draw, watch, self._count)
        with watch(Stage.DECODE):
            decoded = self._decoder.decode(torch.cat((history, new), 2), OVERLAP + self._count)
        return StepOutput(new, decoded)
