"""A kernel that does not hear twice: of sound that an earlier window had too, entries are kept.

The first blocks of waveform encoders (`engine.model.encoder_split`) are most of their work, and a
live window is a new hop of sound behind one that was heard before. The window before is known by
its samples themselves: kept entries that belong to other sound are never used, so that nothing
needs to be told when a stream starts, stops or is taken back. Windows must lie on the grid of
entries, see `engine.audio.front_end.WAVE_STEP`.

All entries come from one graph of short stretches of sound, as large as the new part of a window; a
window that shares nothing is heard in many of them. An entry is thus the same number however it was
come by, and a window's result does not depend on what was kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.kernels.graph import Graph, Precision, Run, Tensors
from engine.kernels.parity import TOLERANCES, ParityError, relative_error
from engine.kernels.registry import Request, backend, make_kernel, to_calibrate, to_compare
from engine.kernels.verify import admitted
from engine.model.encoder_split import (
    STRIDE,
    EncoderStem,
    receptive_field,
    split_encoder,
    stem_length,
)
from engine.model.gesture import GestureModel
from engine.model.types import Kernel, WindowInputs, WindowOutputs

ROBUST: Final = (r"encoders\.\w+\.(?!0\.(outer|around)\b)",)
"""What bears 8 bits, see `Graph`."""
_HOPS: Final = 64  # of which one moves on by the most, and one by the least
_WORTH: Final = 0.5  # of a window's entries that must come from before


def shifts(hop: int, cut: Callable[[int], int]) -> tuple[int, ...]:
    """By how many samples windows move on that follow each other by `hop` frames.

    cut: where a live front end cuts them, see `engine.audio.front_end.FrontEndStream`.
    """
    ends = [cut(number * hop) for number in range(_HOPS)]
    return tuple(sorted({later - earlier for earlier, later in pairwise(ends)}))


class Piece(NamedTuple):
    """One call: samples to hear, entries of it to take, and where they belong."""

    heard: tuple[slice, ...]
    taken: slice
    place: slice


@dataclass(frozen=True)
class Plan:
    """How the entries of a window are come by.

    samples, entries: of a window; stretch: samples of a call. shifts: by how many samples it may
    have moved on. again: calls for a window that follows another, whose entries in `place` are
    those that the other has as many places later as it moved on. anew: calls for any window.
    """

    samples: int
    entries: int
    stretch: int
    shifts: tuple[int, ...]
    again: tuple[Piece, ...]
    place: slice
    anew: tuple[Piece, ...]


def plan(samples: int, shifts: Sequence[int]) -> Plan | None:
    """For windows of `samples` that move on by any of `shifts`; None where too little of a window
    stays the same, or entries would not lie on one grid.
    """
    if any(shift % STRIDE for shift in shifts):
        return None
    entries, (first, last) = stem_length(samples), receptive_field()
    # What sees zeros in the place of what came before or after a window is not the same.
    begin = -(first // STRIDE)
    end = (samples - last) // STRIDE + 1 - max(shifts) // STRIDE
    if end - begin < _WORTH * entries:
        return None
    # The ends of a window, cut together: where they meet entries see what never was.
    left = max(0, (begin - 1) * STRIDE + last)
    cut = (end * STRIDE + first - left) // STRIDE
    stretch = samples - cut * STRIDE
    heard = (slice(0, left), slice(left + cut * STRIDE, samples))
    again = (
        Piece(heard, slice(0, begin), slice(0, begin)),
        Piece(heard, slice(end - cut, entries - cut), slice(end, entries)),
    )
    return Plan(
        *(samples, entries, stretch, tuple(shifts)),
        *(again, slice(begin, end), _stretches(samples, stretch)),
    )


def _stretches(samples: int, stretch: int) -> tuple[Piece, ...]:
    """Calls that cover a window, each with what it sees whole; the last ends with the window."""
    entries, (first, last) = stem_length(samples), receptive_field()
    begin, end = -(first // STRIDE), (stretch - last) // STRIDE + 1
    final = (samples - stretch) // STRIDE
    pieces, done = [], 0
    while done < entries:
        start = min(max(0, done - begin), final)
        until = entries if start == final else start + end
        heard = (slice(start * STRIDE, start * STRIDE + stretch),)
        pieces.append(Piece(heard, slice(done - start, until - start), slice(done, until)))
        done = until
    return tuple(pieces)


class EncoderCache:
    """Samples `[1, S, 1]` to entries `[1, C, P]` by `run`, as planned; keeps the newest window."""

    def __init__(self, run: Run, planned: Plan) -> None:
        self._run, self._plan = run, planned
        self._kept: tuple[Tensor, Tensor] | None = None

    def __call__(self, audio: Tensor) -> Tensor:
        """Entries of a window; ShapeError for another number of samples."""
        expected = (1, self._plan.samples, 1)
        if audio.shape != expected:
            raise ShapeError(f"this kernel was made for sound {expected}, got {tuple(audio.shape)}")
        known = self._known(audio)
        entries = self._heard(audio, self._plan.anew if known is None else self._plan.again)
        if known is not None:
            entries[..., self._plan.place] = known
        self._kept = audio.clone(), entries
        return entries

    def _known(self, audio: Tensor) -> Tensor | None:
        """Entries that the window before had too, if this one follows it."""
        if self._kept is None:
            return None
        samples, entries = self._kept
        for shift in self._plan.shifts:
            if torch.equal(samples[:, shift:], audio[:, :-shift]):
                moved, place = shift // STRIDE, self._plan.place
                return entries[..., place.start + moved : place.stop + moved]
        return None

    def _heard(self, audio: Tensor, calls: Sequence[Piece]) -> Tensor:
        """Room for all entries, those of `calls` in their places."""
        entries = None
        heard: tuple[slice, ...] = ()
        for piece in calls:
            if piece.heard != heard:
                heard = piece.heard
                (found,) = self._run((_cut(audio, heard),))
            if entries is None:
                entries = found.new_empty(1, found.shape[1], self._plan.entries)
            entries[..., piece.place] = found[..., piece.taken]
        assert entries is not None  # a plan has calls
        return entries


def _cut(audio: Tensor, heard: Sequence[slice]) -> Tensor:
    return torch.cat([audio[:, part] for part in heard], 1)


class CachedEncoderKernel:
    """`later`, which takes entries in the place of samples, behind `ear`; for windows of one row.

    What it gives depends on nothing but the window.
    """

    def __init__(self, ear: EncoderCache, later: Kernel) -> None:
        self.name = later.name
        self._ear, self._later = ear, later

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        return self._later(inputs._replace(audio=self._ear(inputs.audio)))


def recalling_kernel(
    name: str, model: GestureModel, request: Request, moved: Sequence[int]
) -> CachedEncoderKernel | None:
    """The kernel called `name` for the hops of one stream, by a lean `model`; raises as
    `make_kernel`. None where the model has no such blocks, or windows move on by too much.

    moved: see `shifts`.
    """
    found = split_for_cache(name, model, request, moved)
    if found is None:
        return None
    return CachedEncoderKernel(found.ear, make_kernel(name, found.later, found.request))


class SplitModel(NamedTuple):
    """An ear, the model that follows it, and what there is to know of the windows behind it.

    first: what the ear computes, of sound `[B, S, 1]`.
    """

    ear: EncoderCache
    first: EncoderStem
    later: GestureModel
    request: Request


def split_for_cache(
    name: str, model: GestureModel, request: Request, moved: Sequence[int]
) -> SplitModel | None:
    """The parts of a kernel or step that recalls; see `recalling_kernel`."""
    planned = plan(request.shape.entries, moved)
    split = split_encoder(model)
    if split is None or planned is None or request.shape.rows != 1:
        return None
    first, later = split
    ear = EncoderCache(_first_run(name, first, planned, request), planned)
    channels = first(torch.zeros(1, planned.stretch, 1)).shape[1]
    # Channels first, as the convolutions that follow take them.
    shape = replace(request.shape, entries=channels, channels=planned.entries)

    recorded = request.samples

    def samples() -> list[WindowInputs]:
        with torch.inference_mode():
            return [window._replace(audio=first(window.audio)) for window in recorded()]

    return SplitModel(ear, first, later, replace(request, shape=shape, samples=samples))


def _first_run(name: str, first: EncoderStem, planned: Plan, request: Request) -> Run:
    """The first blocks on a stretch, which have shown that they match."""
    chosen, settings = backend(name), request.settings
    heard = planned.again[0].heard

    def stretches(windows: Sequence[WindowInputs]) -> list[Tensors]:
        return [(_cut(window.audio, heard),) for window in windows]

    generator = torch.Generator()
    generator.seed()
    size = (1, planned.stretch, 1)
    drawn: list[Tensors] = [(torch.randn(size, generator=generator) * 0.5,) for _ in range(2)]
    graph = Graph(
        *("hearing", first, drawn[0], ("audio",), ("entries",)),
        samples=lambda: stretches(to_calibrate(request.samples())),
        robust=ROBUST,
    )

    def compare(run: Run) -> list[Tensors]:
        real = chosen.precision is Precision.INT8  # calibrated on speech, it holds for speech only
        inputs = stretches(to_compare(request.samples())) if real else drawn
        allowed = TOLERANCES[chosen.precision].error
        with torch.inference_mode():
            error = max(relative_error(first(*each), run(each)[0]) for each in inputs)
        if error > allowed:
            raise ParityError(
                f"the first blocks of {name} do not match the eager ones: entries {error:.2g} "
                f"apart (at most {allowed:g}); use another kernel"
            )
        return inputs

    return admitted(lambda kept: chosen.prepare(graph, kept), compare, graph, settings, name)
