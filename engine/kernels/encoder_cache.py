"""Cache of waveform-encoder activations between hops.

The stem of the waveform encoders (`engine.model.encoder_split`) is most of their work, and
successive live windows overlap. The activations of a stream's newest window are in its state
(`engine.generate.state.EncoderState`); only the new samples of the next window are encoded.

Cached and fresh activations come from the same fixed-shape graph of one segment. A window without
overlap is encoded in several segments. The output is therefore independent of the cache contents.
Windows must lie on the grid of activations, see `engine.audio.front_end.WAVE_STEP`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.generate.state import EncoderState
from engine.kernels.graph import Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import Outputs, require, worst
from engine.kernels.parity import compare as compare_outputs
from engine.kernels.registry import KernelSpec, backend, to_calibrate, to_compare
from engine.kernels.verify import build_verified
from engine.model.encoder_split import (
    STRIDE,
    EncoderStem,
    receptive_field,
    split_encoder,
    stem_length,
)
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs

INT8_LAYERS: Final = (r"encoders\.\w+\.(?!0\.(outer|around)\b)",)
"""Layers that tolerate int8, see `GraphSpec`."""
_HOPS: Final = 64  # every offset occurs within this many hops
_MIN_REUSE: Final = 0.5  # share of a window's activations that must come from the cache


def hop_offsets(hop: int, cut: Callable[[int], int]) -> tuple[int, ...]:
    """Distances in samples between the windows of successive hops of `hop` frames.

    cut: end of the window before a frame, see `engine.audio.front_end.FrontEndStream`.
    """
    ends = [cut(number * hop) for number in range(_HOPS)]
    return tuple(sorted({later - earlier for earlier, later in pairwise(ends)}))


class SegmentCall(NamedTuple):
    """One call of the segment graph.

    Attributes:
        inputs: samples of the window, joined to one segment.
        outputs: activations of the segment that are valid.
        place: where they lie in the window's activations.

    """

    inputs: tuple[slice, ...]
    outputs: slice
    place: slice


@dataclass(frozen=True)
class CachePlan:
    """How the activations of a window are computed.

    Attributes:
        samples: samples per window.
        length: activations per window.
        segment: samples per call.
        offsets: allowed distances, in samples, to the previous window.
        incremental: calls for a window that overlaps the previous one.
        cached: range of activations copied from the previous window, shifted by the offset.
        full: calls when nothing is cached.

    """

    samples: int
    length: int
    segment: int
    offsets: tuple[int, ...]
    incremental: tuple[SegmentCall, ...]
    cached: slice
    full: tuple[SegmentCall, ...]


def plan_cache(samples: int, offsets: Sequence[int]) -> CachePlan | None:
    """The plan for windows of `samples` at any of `offsets`.

    None where too little of a window overlaps, or where activations would not lie on one grid.
    """
    if any(offset % STRIDE for offset in offsets):
        return None
    length, (first, last) = stem_length(samples), receptive_field()
    # Activations near the ends of a window depend on its zero padding and cannot be reused.
    begin = -(first // STRIDE)
    end = (samples - last) // STRIDE + 1 - max(offsets) // STRIDE
    if end - begin < _MIN_REUSE * length:
        return None
    # Both ends of a window form one segment; activations at the joint are not used.
    left = max(0, (begin - 1) * STRIDE + last)
    cut = (end * STRIDE + first - left) // STRIDE
    segment = samples - cut * STRIDE
    ends = (slice(0, left), slice(left + cut * STRIDE, samples))
    incremental = (
        SegmentCall(ends, slice(0, begin), slice(0, begin)),
        SegmentCall(ends, slice(end - cut, length - cut), slice(end, length)),
    )
    return CachePlan(
        *(samples, length, segment, tuple(offsets)),
        *(incremental, slice(begin, end), _full_calls(samples, segment)),
    )


def _full_calls(samples: int, segment: int) -> tuple[SegmentCall, ...]:
    """Calls that cover a window, each with its valid activations; the last ends with the window."""
    length, (first, last) = stem_length(samples), receptive_field()
    begin, end = -(first // STRIDE), (segment - last) // STRIDE + 1
    final = (samples - segment) // STRIDE
    calls, done = [], 0
    while done < length:
        start = min(max(0, done - begin), final)
        until = length if start == final else start + end
        inputs = (slice(start * STRIDE, start * STRIDE + segment),)
        calls.append(SegmentCall(inputs, slice(done - start, until - start), slice(done, until)))
        done = until
    return tuple(calls)


class EncoderCache:
    """Encodes windows of samples by `run`, a graph of one segment; keeps no state of its own."""

    def __init__(self, run: Executable, plan: CachePlan) -> None:
        self._run, self._plan = run, plan

    def __call__(self, audio: Tensor, state: EncoderState) -> Tensor:
        """Activations `[B, C, P]` of windows `[B, S, 1]`; reads and updates `state` in place.

        Raises ShapeError for another number of samples.
        """
        expected = (len(audio), self._plan.samples, 1)
        if audio.shape != expected:
            raise ShapeError(f"this kernel was made for sound {expected}, got {tuple(audio.shape)}")
        rows = [self._row(audio[row : row + 1], state, row) for row in range(len(audio))]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _row(self, audio: Tensor, state: EncoderState, row: int) -> Tensor:
        cached = self.cached(state, row)
        activations = self._encode(
            audio, self._plan.full if cached is None else self._plan.incremental
        )
        if cached is not None:
            activations[..., self._plan.cached] = cached
        state.store(row, activations)
        return activations

    def cached(self, state: EncoderState, row: int) -> Tensor | None:
        """Activations of the previous window that are valid in this one; None if there are none."""
        activations, offset = state.activations[row], int(state.offset[row])
        if activations is None or offset not in self._plan.offsets:
            return None
        moved, place = offset // STRIDE, self._plan.cached
        return activations[..., place.start + moved : place.stop + moved]

    def _encode(self, audio: Tensor, calls: Sequence[SegmentCall]) -> Tensor:
        """A new tensor with the outputs of `calls` in their places."""
        activations = None
        inputs: tuple[slice, ...] = ()
        for call in calls:
            if call.inputs != inputs:
                inputs = call.inputs
                (found,) = self._run((_join(audio, inputs),))
            if activations is None:
                activations = found.new_empty(1, found.shape[1], self._plan.length)
            activations[..., call.place] = found[..., call.outputs]
        assert activations is not None  # a plan has calls
        return activations


def _join(audio: Tensor, parts: Sequence[slice]) -> Tensor:
    return torch.cat([audio[:, part] for part in parts], 1)


class SplitModel(NamedTuple):
    """A model as cached encoder stem and remaining model.

    Attributes:
        cache: the stem, with cache.
        stem: the stem as a module, on samples `[B, S, 1]`.
        tail: the remaining model, on activations instead of samples.
        spec: shapes, options and calibration windows of the tail.

    """

    cache: EncoderCache
    stem: EncoderStem
    tail: GestureModel
    spec: KernelSpec


def split_for_cache(
    name: str, model: GestureModel, spec: KernelSpec, offsets: Sequence[int]
) -> SplitModel | None:
    """Split a fused `model` for the backend called `name`; the stem's graph is verified.

    None where the model has no waveform encoders, or where windows overlap too little. offsets: see
    `hop_offsets`. Raises as `engine.kernels.registry.make_kernel`.
    """
    plan, split = plan_cache(spec.shape.audio_steps, offsets), split_encoder(model)
    if split is None or plan is None:
        return None
    stem, tail = split
    cache = EncoderCache(_stem_run(name, stem, plan, spec), plan)
    channels = stem(torch.zeros(1, plan.segment, 1)).shape[1]
    # Channels first, as the following convolutions take them.
    shape = replace(spec.shape, audio_steps=channels, channels=plan.length)

    def samples() -> list[WindowInputs]:
        return [encode_window(stem, window) for window in spec.samples()]

    return SplitModel(cache, stem, tail, replace(spec, shape=shape, samples=samples))


def encode_window(stem: EncoderStem, window: WindowInputs) -> WindowInputs:
    """The window with activations `[B, C, P]` instead of samples."""
    with torch.inference_mode():
        return window._replace(audio=stem(window.audio))


def _stem_run(name: str, stem: EncoderStem, plan: CachePlan, spec: KernelSpec) -> Executable:
    """The stem's graph of one segment, compiled and verified."""
    chosen, inputs = backend(name), plan.incremental[0].inputs

    def segments(windows: Sequence[WindowInputs]) -> list[Tensors]:
        return [(_join(row[None], inputs),) for window in windows for row in window.audio]

    generator = torch.Generator()
    generator.seed()
    size = (1, plan.segment, 1)
    drawn: list[Tensors] = [(torch.randn(size, generator=generator) * 0.5,) for _ in range(2)]
    graph = GraphSpec(
        *("encoder-stem", stem, drawn[0], ("audio",), ("activations",)),
        samples=lambda: segments(to_calibrate(spec.samples())),
        int8_layers=INT8_LAYERS,
    )

    def compare(run: Executable) -> list[Tensors]:
        calibrated = chosen.precision is Precision.INT8  # holds for speech only
        tried = segments(to_compare(spec.samples())) if calibrated else drawn
        with torch.inference_mode():
            found = [compare_outputs(Outputs([stem(*x)]), Outputs(run(x))) for x in tried]
        require(f"the encoder stem of {name}", worst(found), chosen.precision)
        return tried

    return build_verified(chosen, graph, spec.options, compare)
