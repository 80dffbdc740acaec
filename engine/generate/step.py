"""One hop of the networks: a window in, new codes and decoded frames out.

`StagedStep` runs kernel, code sampler and decoder one after the other. The steps of
`engine.kernels` compute the same as one compiled graph, with cached encoder activations, or for
batches of several sizes.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.generate.decoder import SEAM_FRAMES, Decoded, Decoder
from engine.generate.sampling import (
    CodeSelection,
    CorrelatedNoise,
    SamplingConfig,
    sample_codes,
)
from engine.generate.state import EncoderState
from engine.model.part_vae import PartVae
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.skeleton import BodyPart
from engine.timing import Stage, StageTimer

NoiseSource = Callable[[], Tensor | None]
"""Draws the Gumbel noise `[B, P, n, V]` of one hop; None if nothing is sampled. Called once."""


class CodeSampler:
    """Selects the codes of all parts from the outputs of the transformer.

    See `engine.generate.sampling`.

    Attributes:
        sampling: temperature and noise settings.
        classes: width V of the noise, the largest number of classes of any part.
        widths: latent width of each part.

    """

    def __init__(
        self,
        parts: Mapping[BodyPart, PartVae],
        selections: Mapping[BodyPart, CodeSelection],
        sampling: SamplingConfig,
    ) -> None:
        """selections: by part; `CodeSelection.ARGMAX_OR_SAMPLE` for parts that are missing."""
        self.sampling = sampling
        self._parts = [parts[part] for part in BodyPart]
        self.classes = max(vae.classes for vae in self._parts)
        self.widths = [vae.code_dim for vae in self._parts]
        self._selections = [
            selections.get(part, CodeSelection.ARGMAX_OR_SAMPLE) for part in BodyPart
        ]
        self._settings = [sampling.of(part) for part in BodyPart]

    @property
    def samples(self) -> bool:
        """Whether noise is needed."""
        return self.sampling.draws

    def new_noise(self, seed: int) -> CorrelatedNoise:
        """Noise generator of a new stream."""
        return CorrelatedNoise(seed, len(BodyPart), self.classes, self.sampling.noise_correlation)

    def __call__(self, outputs: WindowOutputs, noise: Tensor | None, count: int) -> Tensor:
        """Codes `[B, P, count]` of the newest frames, with noise `[B, P, count, V]` or None.

        Raises ShapeError if the kernel gives fewer than `count` frames; more are ignored.
        """
        given = outputs.latents[0].shape[1]
        if given < count:
            raise ShapeError(
                f"the schedule needs {count} frames of the kernel, which gives {given}"
            )
        codes = []
        for p, (vae, selection) in enumerate(zip(self._parts, self._selections, strict=True)):
            logits = outputs.logits[p][:, given - count :]
            own = None if noise is None else noise[:, p, :, : logits.shape[-1]]
            latents = outputs.latents[p][:, given - count :]
            codes.append(sample_codes(vae, selection, latents, logits, own, self._settings[p]))
        return torch.stack(codes, 1)


class StepOutput(NamedTuple):
    """codes `[B, P, n]` of the new frames; decoded: SEAM_FRAMES earlier frames and these."""

    codes: Tensor
    decoded: Decoded


class HopCall(NamedTuple):
    """Arguments of a hop.

    Attributes:
        window: input of the transformer.
        history: codes `[B, P, C]` before the new frames.
        draw: source of the noise.
        timer: timer of the stages KERNEL, CHOOSE and DECODE, as far as a step separates them.
        encoder: cached activations of the windows before; read and updated in place by steps that
            cache, ignored by others.

    """

    window: WindowInputs
    history: Tensor
    draw: NoiseSource
    timer: StageTimer
    encoder: EncoderState


class HopStep(Protocol):
    """All network computation of one live hop. Stateless: everything it reuses is an argument."""

    @property
    def name(self) -> str:
        """Name of the kernel."""
        ...

    @property
    def sampler(self) -> CodeSampler:
        """Sampler of the codes; says which noise a call needs."""
        ...

    @property
    def decoder(self) -> Decoder:
        """Decoder for codes outside live hops: the rest pose, whole files."""
        ...

    def __call__(self, hop: HopCall) -> StepOutput:
        """Codes of the newest frames of a window, and these frames decoded."""
        ...


class StagedStep:
    """Runs kernel, sampler and decoder one after the other.

    count: newest frames n taken of each window.
    """

    def __init__(self, kernel: Kernel, sampler: CodeSampler, decoder: Decoder, count: int) -> None:
        self.name = kernel.name
        self.sampler = sampler
        self.decoder = decoder
        self.kernel = kernel
        self._count = count

    def codes(self, hop: HopCall, count: int) -> Tensor:
        """Codes `[B, P, count]` of a window's newest frames, not decoded."""
        with hop.timer(Stage.KERNEL):
            outputs = self.kernel(hop.window)
        with hop.timer(Stage.CHOOSE):
            return self.sampler(outputs, hop.draw(), count)

    def __call__(self, hop: HopCall) -> StepOutput:
        """See `HopStep`."""
        new = self.codes(hop, self._count)
        with hop.timer(Stage.DECODE):
            codes = torch.cat((hop.history, new), 2)
            decoded = self.decoder.decode(codes, SEAM_FRAMES + self._count)
        return StepOutput(new, decoded)
