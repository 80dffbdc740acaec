"""The pose decoder of live hops as one compiled graph.

PyTorch's calls of convolutions of a few frames take longer than the convolutions themselves.
Verified against the eager decoder before use.
"""

from typing import Final

import torch
from torch import Tensor, nn

from engine.generate.decoder import SEAM_FRAMES, Decoded, Decoder, PoseDecoder
from engine.generate.schedule import Schedule
from engine.kernels.graph import Backend, Graph, Run, Settings, Tensors
from engine.kernels.parity import ParityError, relative_error
from engine.kernels.verify import admitted
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import BodyPart

TOLERANCE: Final = 1e-3
"""|got - expected| / |expected| of any output at most."""
_DRAWS: Final = 2


class DecodeNetwork(nn.Module):
    """Codes `[B, P, T]` in, the fields of Decoded for the last frames out."""

    def __init__(self, decoder: PoseDecoder, last: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(decoder.networks)
        self._decoder, self._last = decoder, last

    def forward(self, codes: Tensor) -> Tensors:
        return tuple(self._decoder.decoded(codes, self._last))


class GraphDecoder:
    """A `PoseDecoder` whose live hops `run` decodes; stretches of other lengths it decodes itself.

    graph: what `run` was made of; last: frames that it gives.
    """

    def __init__(self, decoder: PoseDecoder, run: Run, graph: Graph, last: int) -> None:
        self.context = decoder.context
        self._decoder, self._run, self._last = decoder, run, last
        self._shape = graph.example[0].shape

    def decode(self, codes: Tensor, last: int) -> Decoded:
        """The last `last` frames of codes `[B, P, T]`, see `PoseDecoder.decode`."""
        if last != self._last or codes.shape != self._shape:
            return self._decoder.decode(codes, last)
        return Decoded(*self._run((codes,)))


def graph_decoder(
    decoder: PoseDecoder, backend: Backend, settings: Settings, schedule: Schedule, rows: int = 1
) -> GraphDecoder:
    """The decoder of a live schedule's hops, which has shown that it matches `decoder`.

    Raises what the backend raises, and ParityError for a graph that decodes otherwise.
    """
    newest = schedule.algorithmic_frames
    last = SEAM_FRAMES + newest
    shape = (rows, len(BodyPart), decoder.context + 1 + newest)
    generator = torch.Generator()
    generator.seed()
    draws = [draw_codes(decoder, shape, generator) for _ in range(_DRAWS)]
    module = DecodeNetwork(decoder, last).eval()
    graph = Graph(f"decode-last{last}", module, (draws[0],), ("codes",), Decoded._fields)

    def compare(run: Run) -> list[Tensors]:
        for codes in draws:
            _require_parity(decoder, GraphDecoder(decoder, run, graph, last), codes, last)
        return [(codes,) for codes in draws]

    run = admitted(
        lambda kept: backend.prepare(graph, kept), compare, graph, settings, backend.name
    )
    return GraphDecoder(decoder, run, graph, last)


def _require_parity(decoder: Decoder, ready: Decoder, codes: Tensor, last: int) -> None:
    error = decoding_error(decoder.decode(codes, last), ready.decode(codes, last))
    if error > TOLERANCE:
        raise ParityError(
            f"decoding as a graph is {error:.2g} off the decoder (at most {TOLERANCE:g}); use the "
            "eager kernel, which decodes without one"
        )


def decoding_error(expected: Decoded, got: Decoded) -> float:
    """The worst `relative_error`: of a rotation and its negative, which are one, of the matrix."""
    shown = (d._replace(rotations=to_sixd(d.rotations)) for d in (expected, got))
    return max(relative_error(a, b) for a, b in zip(*shown, strict=True))


def draw_codes(decoder: PoseDecoder, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random codes `[B, P, T]`."""
    share = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (share * torch.tensor(decoder.codebooks)[:, None]).long()
