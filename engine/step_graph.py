"""A whole hop as one graph: transformer, choice of codes, look-up, decoders, global motion.

For backends that record what a device is told to do: between the graphs of a piecewise step PyTorch
launches some hundred small operators one by one. Nothing in it waits for the device, and no shape
depends on values. Let in by parity, as kernels are. Knows no backend.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from engine.decode_graph import TOLERANCE, decoding_error, draw_codes
from engine.decoder import OVERLAP, Decoded, PoseDecoder
from engine.errors import ShapeError
from engine.kernels.base import WindowInputs
from engine.kernels.eager import EagerKernel
from engine.kernels.flat import FlatWindow, WindowShape, draw_window, window_outputs
from engine.kernels.graph import Backend, Graph, Run, Settings, Tensors
from engine.kernels.padded import Sizes, filled
from engine.kernels.parity import TOLERANCES, Parity, ParityError, made_anew, worst
from engine.sampling import gumbel
from engine.skeleton import BodyPart
from engine.statistics import Stage, Watch, unwatched
from engine.step import Chooser, Draw, HopStep, PiecewiseStep, Stepped

_DRAWS: Final = 8  # a hop has few codes, and a share of them is asked for


class HopInputs(NamedTuple):
    """All that a hop depends on. history: codes `[B, P, C]` int64; noise: see `Draw`."""

    window: WindowInputs
    history: Tensor
    noise: Tensor | None

    @property
    def flat(self) -> Tensors:
        """The tensors that a `StepNetwork` takes."""
        noise = () if self.noise is None else (self.noise,)
        return (*self.window, self.history, *noise)


class StepNetwork(nn.Module):
    """A `PiecewiseStep` as one module: the tensors of HopInputs in, codes and Decoded out, flat.

    model: the gesture transformer. newest: frames that are taken of each window.
    """

    def __init__(
        self, model: nn.Module, newest: int, chooser: Chooser, decoder: PoseDecoder
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
        return (codes, *self.decoder.decoded(joined, OVERLAP + self.newest))

    def pieces(self) -> PiecewiseStep:
        """The same, eager and one after the other: what every graph of this must match."""
        kernel = EagerKernel(self.window.model, self.newest)
        return PiecewiseStep(kernel, self.chooser, self.decoder, self.newest)

    def draw(self, shape: WindowShape, generator: torch.Generator) -> HopInputs:
        """Random inputs of a hop whose windows have this shape."""
        length = self.decoder.context + 1
        history = draw_codes(self.decoder, (shape.rows, len(BodyPart), length), generator)
        noise = None
        if self.chooser.samples:
            size = (shape.rows, len(BodyPart), self.newest, self.chooser.classes)
            noise = gumbel(torch.randn(size, generator=generator))
        return HopInputs(draw_window(shape, generator), history, noise)


class GraphStep:
    """A hop that a graph made ready computes at once; one of other shapes goes to `other`."""

    def __init__(self, run: Run, graph: Graph, other: HopStep) -> None:
        self._run = run
        self._shapes = [tensor.shape for tensor in graph.example]
        self._other = other

    def __call__(self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch) -> Stepped:
        """See `HopStep`; KERNEL is the whole graph, CHOOSE the drawing of the noise."""
        with watch(Stage.CHOOSE):
            noise = draw()
        tensors = HopInputs(inputs, history, noise).flat
        if [tensor.shape for tensor in tensors] != self._shapes:
            return self._other(inputs, history, lambda: noise, watch)
        with watch(Stage.KERNEL):
            codes, *decoded = self._run(tensors)
        return Stepped(codes, Decoded(*decoded))


def graph_step(
    network: StepNetwork,
    shape: WindowShape,
    backend: Backend,
    settings: Settings,
    real: Callable[[], Sequence[HopInputs]] = tuple,
) -> GraphStep:
    """The hop of `network` for windows of one shape, which has shown that it matches its pieces.

    real: inputs that a stream has had, to compare on beside random ones. Raises what the backend
    raises, and ParityError, with the figures, for a graph that computes otherwise.
    """
    if shape.newest != network.newest:
        raise ShapeError(f"the step takes {network.newest} newest frames, windows {shape.newest}")
    network.eval()
    pieces = network.pieces()
    generator = torch.Generator()
    generator.seed()
    inputs = [*(network.draw(shape, generator) for _ in range(_DRAWS)), *real()]
    graph = _graph(network, inputs[0])

    def made() -> GraphStep:
        ready = GraphStep(backend.prepare(graph, settings), graph, pieces)
        found = worst([_parity(network.decoder, pieces, ready, one) for one in inputs])
        _require(found, backend)
        return ready

    return made_anew(made, graph, settings)


def _graph(network: StepNetwork, example: HopInputs) -> Graph:
    names = (*WindowInputs._fields, "history", "noise")
    return Graph(
        f"step-newest{network.newest}",
        network,
        example.flat,
        names[: len(example.flat)],
        ("codes", *Decoded._fields),
        halved=("window",),  # a code or a pose is soon another one in half precision
    )


def _parity(decoder: PoseDecoder, pieces: HopStep, ready: HopStep, inputs: HopInputs) -> Parity:
    """Codes against those of the pieces, poses against those that belong to the graph's codes."""
    window, history, noise = inputs
    expected, got = (step(window, history, lambda: noise, unwatched) for step in (pieces, ready))
    if got.codes.shape != expected.codes.shape or not _named(decoder, got.codes):
        return Parity(float("inf"), 0.0)
    equal = (got.codes == expected.codes).double().mean().item()
    joined = torch.cat((history, got.codes), 2)
    poses = decoder.decode(joined, OVERLAP + got.codes.shape[2])
    return Parity(decoding_error(poses, got.decoded), equal)


def _named(decoder: PoseDecoder, codes: Tensor) -> bool:
    """Whether every code is one that its part has."""
    limits = torch.tensor(decoder.codebooks, device=codes.device)[:, None]
    return bool(((codes >= 0) & (codes < limits)).all())


def _require(found: Parity, backend: Backend) -> None:
    wanted = TOLERANCES[backend.precision].codes
    if found.codes < wanted or found.error > TOLERANCE:
        raise ParityError(
            f"a hop as one graph of {backend.name} does not match its pieces: codes "
            f"{found.codes:.1%} equal (at least {wanted:.1%}), poses of the same codes "
            f"{found.error:.2g} apart (at most {TOLERANCE:g}); compute it in pieces"
        )


class PaddedStep:
    """Hops of any number of rows by the smallest of `steps` that takes them, filled up.

    steps: by the rows that each was made for. What `engine.kernels.padded` does for kernels; raises
    what that raises.
    """

    def __init__(self, steps: Mapping[int, HopStep]) -> None:
        self._sizes = Sizes(steps)

    def __call__(self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch) -> Stepped:
        """See `HopStep`."""
        rows = len(history)
        size, step = self._sizes.fitting(rows)
        if size == rows:
            return step(inputs, history, draw, watch)

        def noise() -> Tensor | None:
            drawn = draw()
            return None if drawn is None else filled(drawn, size)

        window = WindowInputs(*(filled(tensor, size) for tensor in inputs))
        codes, decoded = step(window, filled(history, size), noise, watch)
        return Stepped(codes[:rows], Decoded(*(tensor[:rows] for tensor in decoded)))
