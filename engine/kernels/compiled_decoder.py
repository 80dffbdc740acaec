"""The pose decoder of live hops as one compiled graph.

PyTorch's calls of convolutions of a few frames take longer than the convolutions themselves.
Verified against the eager decoder before use.
"""

from typing import Final

import torch
from torch import Tensor, nn

from engine.generate.decoder import SEAM_FRAMES, Decoded, PoseDecoder
from engine.generate.schedule import Schedule
from engine.kernels.graph import Backend, BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import Outputs, require, worst
from engine.kernels.parity import compare as compare_outputs
from engine.kernels.verify import build_verified
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import BodyPart

_DRAWS: Final = 2


class DecoderModule(nn.Module):
    """Decodes codes `[B, P, T]` to the fields of Decoded for the last frames."""

    def __init__(self, decoder: PoseDecoder, last: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(decoder.networks)
        self._decoder, self._last = decoder, last

    def forward(self, codes: Tensor) -> Tensors:
        return tuple(self._decoder.decoded(codes, self._last))


class CompiledDecoder:
    """Decodes live hops by a compiled graph, and other lengths by the `PoseDecoder` itself.

    run: compiled from `graph`. last: frames that it gives.
    """

    def __init__(self, decoder: PoseDecoder, run: Executable, graph: GraphSpec, last: int) -> None:
        self.context = decoder.context
        self._decoder, self._run, self._last = decoder, run, last
        self._shape = graph.example[0].shape

    def decode(self, codes: Tensor, last: int) -> Decoded:
        """The last `last` frames of codes `[B, P, T]`, see `PoseDecoder.decode`."""
        if last != self._last or codes.shape != self._shape:
            return self._decoder.decode(codes, last)
        return Decoded(*self._run((codes,)))


def compile_decoder(
    decoder: PoseDecoder,
    backend: Backend,
    options: BuildOptions,
    schedule: Schedule,
    rows: int = 1,
) -> CompiledDecoder:
    """Compile and verify the decoder of a live schedule's hops.

    Raises what the backend raises, and ParityError for a mismatch.
    """
    newest = schedule.algorithmic_frames
    last = SEAM_FRAMES + newest
    shape = (rows, len(BodyPart), decoder.context + 1 + newest)
    generator = torch.Generator()
    generator.seed()
    draws = [draw_codes(decoder, shape, generator) for _ in range(_DRAWS)]
    module = DecoderModule(decoder, last).eval()
    graph = GraphSpec(f"decode-last{last}", module, (draws[0],), ("codes",), Decoded._fields)

    def compare(run: Executable) -> list[Tensors]:
        compiled = CompiledDecoder(decoder, run, graph, last)
        pairs = ((decoder.decode(c, last), compiled.decode(c, last)) for c in draws)
        found = [compare_outputs(*(Outputs(poses=comparable(x)) for x in pair)) for pair in pairs]
        require(f"the pose decoder of {backend.name}", worst(found), Precision.FP32)
        return [(codes,) for codes in draws]

    run = build_verified(backend, graph, options, compare)
    return CompiledDecoder(decoder, run, graph, last)


def comparable(decoded: Decoded) -> Decoded:
    """Rotations as 6D, since a quaternion and its negative are the same rotation."""
    return decoded._replace(rotations=to_sixd(decoded.rotations))


def draw_codes(decoder: PoseDecoder, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random codes `[B, P, T]`."""
    share = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (share * torch.tensor(decoder.codebooks)[:, None]).long()
