"""A hop as one graph: transformer, code sampling, codebook look-up, decoders, root motion.

Between separate graphs PyTorch launches some hundred small operators one by one. The fused graph
never waits for the device, and no shape depends on values. Verified against the staged step before
use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import ShapeError
from engine.generate.decoder import SEAM_FRAMES, Decoded, PoseDecoder
from engine.generate.sampling import gumbel
from engine.generate.step import CodeSampler, HopCall, HopStep, StagedStep, StepOutput
from engine.kernels.buckets import Buckets, pad_rows
from engine.kernels.compiled_decoder import comparable, draw_codes
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Backend, BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import DIFFERENT, Outputs, Parity, require, worst
from engine.kernels.parity import compare as compare_outputs
from engine.kernels.registry import to_calibrate, to_compare
from engine.kernels.verify import build_verified
from engine.kernels.window_graph import (
    BF16_LAYERS,
    WindowModule,
    WindowShape,
    draw_window,
    int8_layers,
    window_outputs,
)
from engine.model.types import WindowInputs
from engine.motion.skeleton import BodyPart
from engine.timing import Stage

_MIN_ROWS: Final = 8  # a hop has few codes, and the share of equal ones is compared
_MIN_INPUTS: Final = 3  # more than one, see `engine.kernels.parity`


class HopInputs(NamedTuple):
    """All inputs of a hop. history: codes `[B, P, C]` int64; noise: see `NoiseSource`."""

    window: WindowInputs
    history: Tensor
    noise: Tensor | None

    @property
    def flat(self) -> Tensors:
        """The inputs of a `FusedStepModule`."""
        noise = () if self.noise is None else (self.noise,)
        return (*self.window, self.history, *noise)


class FusedStepOutput(NamedTuple):
    """Outputs of a `FusedStepModule`.

    Attributes:
        codes: `[B, P, n]` of the new frames.
        latents: `[B, n, sum of D]` of all parts side by side, compared for parity.
        decoded: see `engine.generate.step.StepOutput`.

    """

    codes: Tensor
    latents: Tensor
    decoded: Decoded

    @staticmethod
    def of(tensors: Tensors) -> "FusedStepOutput":
        """From the flat outputs of the module."""
        codes, latents, *decoded = tensors
        return FusedStepOutput(codes, latents, Decoded(*decoded))


class FusedStepModule(nn.Module):
    """A `StagedStep` as one module: flat tensors of HopInputs in, of FusedStepOutput out.

    model: the gesture transformer. newest: frames taken of each window.
    """

    def __init__(
        self, model: nn.Module, newest: int, sampler: CodeSampler, decoder: PoseDecoder
    ) -> None:
        super().__init__()
        self.window = WindowModule(model, newest)
        self.networks = nn.ModuleList(decoder.networks)  # includes those of the sampler
        self.newest, self.sampler, self.decoder = newest, sampler, decoder

    def forward(
        self,
        motion: Tensor,
        mask: Tensor,
        audio: Tensor,
        words: Tensor,
        speaker: Tensor,
        history: Tensor,
        noise: Tensor | None = None,
    ) -> Tensors:
        outputs = window_outputs(self.window(motion, mask, audio, words, speaker))
        codes = self.sampler(outputs, noise, self.newest)
        joined = torch.cat((history, codes), 2)
        decoded = self.decoder.decoded(joined, SEAM_FRAMES + self.newest)
        return (codes, torch.cat(outputs.latents, -1), *decoded)

    def staged(self) -> StagedStep:
        """The same computation as a `StagedStep`."""
        kernel = EagerKernel(self.window.model, self.newest)
        return StagedStep(kernel, self.sampler, self.decoder, self.newest)

    def draw(self, shape: WindowShape, generator: torch.Generator) -> HopInputs:
        """Random inputs of a hop whose windows have this shape."""
        length = self.decoder.context + 1
        history = draw_codes(self.decoder, (shape.rows, len(BodyPart), length), generator)
        noise = None
        if self.sampler.samples:
            size = (shape.rows, len(BodyPart), self.newest, self.sampler.classes)
            noise = gumbel(torch.randn(size, generator=generator))
        return HopInputs(draw_window(shape, generator), history, noise)


class CompiledStep:
    """Computes a hop by one compiled graph; holds no weights of its own.

    Raises ShapeError for inputs of other shapes than the graph's, such as another batch size.
    """

    def __init__(
        self, name: str, run: Executable, graph: GraphSpec, network: FusedStepModule
    ) -> None:
        self.name = name
        self.sampler = network.sampler
        self.decoder = network.decoder
        self._run = run
        self._shapes = [tensor.shape for tensor in graph.example]

    def __call__(self, hop: HopCall) -> StepOutput:
        """See `HopStep`; KERNEL is the whole graph, CHOOSE the drawing of the noise."""
        with hop.timer(Stage.CHOOSE):
            noise = hop.draw()
        tensors = HopInputs(hop.window, hop.history, noise).flat
        if [tensor.shape for tensor in tensors] != self._shapes:
            raise ShapeError(
                f"this graph of a hop was made for {[list(shape) for shape in self._shapes]}, got "
                f"{[list(tensor.shape) for tensor in tensors]}; make one for these"
            )
        with hop.timer(Stage.KERNEL):
            outcome = FusedStepOutput.of(self._run(tensors))
        return StepOutput(outcome.codes, outcome.decoded)


def compile_step(
    network: FusedStepModule,
    shape: WindowShape,
    backend: Backend,
    options: BuildOptions,
    recorded: Callable[[], Sequence[HopInputs]] = tuple,
) -> CompiledStep:
    """Compile and verify the hop of `network` for windows of one shape.

    recorded: recorded stream inputs. Used with random inputs for the comparison; for int8, instead
    of them (int8 is calibrated on speech). Not called if the cached graph was verified before.
    Raises what the backend raises, and ParityError, with the figures, for a mismatch.
    """
    if shape.newest != network.newest:
        raise ShapeError(f"the step takes {network.newest} newest frames, windows {shape.newest}")
    network.eval()
    generator = torch.Generator()
    generator.seed()
    count = max(_MIN_INPUTS, -(-_MIN_ROWS // shape.rows))
    drawn = [network.draw(shape, generator) for _ in range(count)]
    graph = _graph(network, drawn[0])
    graph = replace(graph, samples=lambda: [hop.flat for hop in to_calibrate(recorded())])

    def compare(run: Executable) -> list[Tensors]:
        speech_only = backend.precision is Precision.INT8
        hops = to_compare(recorded()) if speech_only else [*drawn, *recorded()]
        found = worst([_parity(network, run, hop) for hop in hops])
        require(f"a hop as one graph of {backend.name}", found, backend.precision)
        return [hop.flat for hop in hops]

    return CompiledStep(
        backend.name, build_verified(backend, graph, options, compare), graph, network
    )


def _graph(network: FusedStepModule, example: HopInputs) -> GraphSpec:
    names = (*WindowInputs._fields, "history", "noise")
    return GraphSpec(
        f"step-newest{network.newest}",
        network,
        example.flat,
        names[: len(example.flat)],
        ("codes", "latents", *Decoded._fields),
        # Only in the window: in the sampler and decoder fewer bits would change codes and poses.
        int8_layers=int8_layers(network.window.model),
        bf16_layers=BF16_LAYERS,
        fp16_modules=("window",),
    )


def _parity(network: FusedStepModule, run: Executable, inputs: HopInputs) -> Parity:
    """Compare a graph with its module; poses with those that the decoder gives for its codes."""
    with torch.inference_mode():
        expected = FusedStepOutput.of(network(*inputs.flat))
    got = FusedStepOutput.of(run(inputs.flat))
    decoder, widths = network.decoder, network.sampler.widths
    if got.codes.shape != expected.codes.shape or not _codes_in_range(decoder, got.codes):
        return DIFFERENT
    codes = torch.cat((inputs.history, got.codes), 2)
    poses = decoder.decode(codes, SEAM_FRAMES + network.newest)
    return compare_outputs(
        Outputs(_split(expected, widths), [expected.codes], comparable(poses)),
        Outputs(_split(got, widths), [got.codes], comparable(got.decoded)),
    )


def _split(output: FusedStepOutput, widths: list[int]) -> Sequence[Tensor]:
    """Latents of each part."""
    return torch.split(output.latents, widths, -1)


def _codes_in_range(decoder: PoseDecoder, codes: Tensor) -> bool:
    limits = torch.tensor(decoder.codebooks, device=codes.device)[:, None]
    return bool(((codes >= 0) & (codes < limits)).all())


class BucketedStep:
    """Computes hops of any batch size by the smallest of `steps` that is large enough, padded.

    steps: by batch size. Raises as `engine.kernels.buckets.Buckets`.
    """

    def __init__(self, steps: Mapping[int, HopStep]) -> None:
        self._buckets = Buckets(steps)
        smallest = self._buckets.smallest
        self.name, self.sampler, self.decoder = smallest.name, smallest.sampler, smallest.decoder

    def __call__(self, hop: HopCall) -> StepOutput:
        """See `HopStep`."""
        rows = len(hop.history)
        size, step = self._buckets.fitting(rows)
        if size == rows:
            return step(hop)

        def noise() -> Tensor | None:
            drawn = hop.draw()
            return None if drawn is None else pad_rows(drawn, size)

        window = WindowInputs(*(pad_rows(tensor, size) for tensor in hop.window))
        padded = hop._replace(window=window, history=pad_rows(hop.history, size), draw=noise)
        codes, decoded = step(padded)
        return StepOutput(codes[:rows], Decoded(*(tensor[:rows] for tensor in decoded)))
