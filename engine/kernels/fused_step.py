"""A hop as one graph: transformer, code sampling, codebook look-up, decoders, root motion.

Between separate graphs PyTorch launches some hundred small operators one by one. The fused graph
never waits for the device, and no shape depends on values. Verified against the staged
step before use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import ShapeError
from engine.generate.decoder import SEAM_FRAMES, Decoded, PoseDecoder
from engine.generate.sampling import gumbel
from engine.generate.state import EncoderState
from engine.generate.step import CodeSampler, HopStep, NoiseSource, StagedStep, StepOutput
from engine.kernels.buckets import Sizes, filled
from engine.kernels.compiled_decoder import TOLERANCE, decoding_error, draw_codes
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Backend, Graph, Precision, Run, Settings, Tensors
from engine.kernels.parity import TOLERANCES, ParityError, relative_error
from engine.kernels.registry import to_calibrate, to_compare
from engine.kernels.verify import admitted
from engine.kernels.window_graph import (
    ROUNDED,
    FlatWindow,
    WindowShape,
    draw_window,
    robust,
    window_outputs,
)
from engine.model.types import WindowInputs
from engine.motion.skeleton import BodyPart
from engine.timing import Stage, Watch

_DRAWS: Final = 8  # rows: a hop has few codes, and a share of them is asked for
_LEAST: Final = 3  # of which the second and third would show old buffers played again


class HopInputs(NamedTuple):
    """All that a hop depends on. history: codes `[B, P, C]` int64; noise: see `NoiseSource`."""

    window: WindowInputs
    history: Tensor
    noise: Tensor | None

    @property
    def flat(self) -> Tensors:
        """The tensors that a `StepNetwork` takes."""
        noise = () if self.noise is None else (self.noise,)
        return (*self.window, self.history, *noise)


class Outcome(NamedTuple):
    """codes `[B, P, n]` of the new frames, and what they were picked from: latents
    `[B, n, sum of D]` of all parts side by side, by which the transformer is judged. decoded: see
    `engine.generate.step.StepOutput`.
    """

    codes: Tensor
    latents: Tensor
    decoded: Decoded

    @staticmethod
    def of(tensors: Tensors) -> "Outcome":
        """Of what a `StepNetwork` gives."""
        codes, latents, *decoded = tensors
        return Outcome(codes, latents, Decoded(*decoded))


class StepNetwork(nn.Module):
    """A `StagedStep` as one module: the tensors of HopInputs in, those of `Outcome` out, flat.

    model: the gesture transformer. newest: frames that are taken of each window.
    """

    def __init__(
        self, model: nn.Module, newest: int, chooser: CodeSampler, decoder: PoseDecoder
    ) -> None:
        super().__init__()
        self.window = FlatWindow(model, newest)
        self.networks = nn.ModuleList(decoder.networks)  # those of the chooser are among them
        self.newest, self.chooser, self.decoder = newest, chooser, decoder

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
        codes = self.chooser(outputs, noise, self.newest)
        joined = torch.cat((history, codes), 2)
        decoded = self.decoder.decoded(joined, SEAM_FRAMES + self.newest)
        return (codes, torch.cat(outputs.latents, -1), *decoded)

    def pieces(self) -> StagedStep:
        """The same, one after the other."""
        kernel = EagerKernel(self.window.model, self.newest)
        return StagedStep(kernel, self.chooser, self.decoder, self.newest)

    def draw(self, shape: WindowShape, generator: torch.Generator) -> HopInputs:
        """Random inputs of a hop whose windows have this shape."""
        length = self.decoder.context + 1
        history = draw_codes(self.decoder, (shape.rows, len(BodyPart), length), generator)
        noise = None
        if self.chooser.samples:
            size = (shape.rows, len(BodyPart), self.newest, self.chooser.classes)
            noise = gumbel(torch.randn(size, generator=generator))
        return HopInputs(draw_window(shape, generator), history, noise)


class CompiledStep:
    """A hop that a graph made ready computes at once. Holds no weights of its own.

    Raises ShapeError for another number of rows than the graph was made for, as for all else.
    """

    def __init__(self, name: str, run: Run, graph: Graph, network: StepNetwork) -> None:
        self.name = name
        self.sampler = network.chooser
        self.decoder = network.decoder
        self._run = run
        self._shapes = [tensor.shape for tensor in graph.example]

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """See `HopStep`; KERNEL is the whole graph, CHOOSE the drawing of the noise."""
        with watch(Stage.CHOOSE):
            noise = draw()
        tensors = HopInputs(inputs, history, noise).flat
        if [tensor.shape for tensor in tensors] != self._shapes:
            raise ShapeError(
                f"this graph of a hop was made for {[list(shape) for shape in self._shapes]}, got "
                f"{[list(tensor.shape) for tensor in tensors]}; make one for these"
            )
        with watch(Stage.KERNEL):
            outcome = Outcome.of(self._run(tensors))
        return StepOutput(outcome.codes, outcome.decoded)


def graph_step(
    network: StepNetwork,
    shape: WindowShape,
    backend: Backend,
    settings: Settings,
    real: Callable[[], Sequence[HopInputs]] = tuple,
) -> CompiledStep:
    """The hop of `network` for windows of one shape, which has shown that it matches it.

    real: inputs that a stream has had, to compare on beside random ones; in 8 bits, which are
    calibrated on some of them and hold for speech only, in their place. Not asked for where what
    was kept has matched here before. Raises what the backend raises, and ParityError, with the
    figures, for a graph that computes otherwise.
    """
    if shape.newest != network.newest:
        raise ShapeError(f"the step takes {network.newest} newest frames, windows {shape.newest}")
    network.eval()
    generator = torch.Generator()
    generator.seed()
    count = max(_LEAST, -(-_DRAWS // shape.rows))
    inputs = [network.draw(shape, generator) for _ in range(count)]
    graph = _graph(network, inputs[0])
    graph = replace(graph, samples=lambda: [hop.flat for hop in to_calibrate(real())])

    def compare(run: Run) -> list[Tensors]:
        speech_only = backend.precision is Precision.INT8
        tried = to_compare(real()) if speech_only else [*inputs, *real()]
        _require([_compared(network, run, one) for one in tried], backend)
        return [one.flat for one in tried]

    run = admitted(
        lambda kept: backend.prepare(graph, kept), compare, graph, settings, backend.name
    )
    return CompiledStep(backend.name, run, graph, network)


def _graph(network: StepNetwork, example: HopInputs) -> Graph:
    names = (*WindowInputs._fields, "history", "noise")
    return Graph(
        f"step-newest{network.newest}",
        network,
        example.flat,
        names[: len(example.flat)],
        ("codes", "latents", *Decoded._fields),
        # None of it beyond the window: a code or a pose is soon another one in fewer bits.
        robust=robust(network.window.model),
        rounded=ROUNDED,
        halved=("window",),
    )


class _Apart(NamedTuple):
    """How far a graph is from its network: latents of the worst part, and the share of equal codes;
    poses, from those that belong to the graph's own codes.
    """

    latents: float
    codes: float
    poses: float


def _compared(network: StepNetwork, run: Run, inputs: HopInputs) -> _Apart:
    with torch.inference_mode():
        expected = Outcome.of(network(*inputs.flat))
    got = Outcome.of(run(inputs.flat))
    decoder, widths = network.decoder, network.chooser.widths
    if got.codes.shape != expected.codes.shape or not _named(decoder, got.codes):
        return _Apart(float("inf"), 0.0, float("inf"))
    pairs = zip(*(torch.split(x.latents, widths, -1) for x in (expected, got)), strict=True)
    joined = torch.cat((inputs.history, got.codes), 2)
    poses = decoder.decode(joined, SEAM_FRAMES + network.newest)
    return _Apart(
        max(relative_error(a, b) for a, b in pairs),
        (got.codes == expected.codes).double().mean().item(),
        decoding_error(poses, got.decoded),
    )


def _named(decoder: PoseDecoder, codes: Tensor) -> bool:
    """Whether every code is one that its part has."""
    limits = torch.tensor(decoder.codebooks, device=codes.device)[:, None]
    return bool(((codes >= 0) & (codes < limits)).all())


def _require(found: Sequence[_Apart], backend: Backend) -> None:
    allowed = TOLERANCES[backend.precision]
    latents, poses = (max(getattr(one, name) for one in found) for name in ("latents", "poses"))
    codes = sum(one.codes for one in found) / len(found)
    if latents > allowed.error or codes < allowed.codes or poses > TOLERANCE:
        raise ParityError(
            f"a hop as one graph of {backend.name} does not match the eager one: latents "
            f"{latents:.2g} apart (at most {allowed.error:g}), codes {codes:.1%} equal (at least "
            f"{allowed.codes:.1%}), poses of the same codes {poses:.2g} apart (at most "
            f"{TOLERANCE:g})"
        )


class BucketedStep:
    """Hops of any number of rows by the smallest of `steps` that takes them, filled up.

    steps: by the rows that each was made for. What `engine.kernels.buckets` does for kernels;
    raises what that raises.
    """

    def __init__(self, steps: Mapping[int, HopStep]) -> None:
        self._sizes = Sizes(steps)
        smallest = self._sizes.smallest
        self.name, self.sampler, self.decoder = smallest.name, smallest.sampler, smallest.decoder

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """See `HopStep`."""
        rows = len(history)
        size, step = self._sizes.fitting(rows)
        if size == rows:
            return step(inputs, history, draw, watch, encoder)

        def noise() -> Tensor | None:
            drawn = draw()
            return None if drawn is None else filled(drawn, size)

        window = WindowInputs(*(filled(tensor, size) for tensor in inputs))
        codes, decoded = step(window, filled(history, size), noise, watch, encoder)
        return StepOutput(codes[:rows], Decoded(*(tensor[:rows] for tensor in decoded)))
