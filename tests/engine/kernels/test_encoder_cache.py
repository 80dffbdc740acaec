"""Cached encoder activations equal those of a full encode."""

import pytest
import torch
from torch import Tensor

from engine.audio.front_end import WAVE_STEP, build_front_end
from engine.clock import FrameClock
from engine.config.features import FeatureConfig
from engine.config.model import FrontEnd
from engine.errors import ShapeError
from engine.generate.state import EncoderState
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import (
    CachePlan,
    EncoderCache,
    hop_offsets,
    plan_cache,
    split_for_cache,
)
from engine.kernels.graph import Tensors
from engine.kernels.parity import relative_error
from engine.kernels.registry import KernelSpec, make_kernel
from engine.kernels.window_graph import WindowShape, draw_window
from engine.model.encoder_split import STRIDE, EncoderStem, split_encoder, stem_length
from engine.model.fuse import fuse_for_inference
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import MOTION
from tests.engine.model.test_fuse import with_trained_statistics
from tests.support.tiny_bundle import tiny_published_bundle

CLOCK = FrameClock()
SAMPLES = 64 * 533
HOP = 2


def cut(frame: int) -> int:
    """Sample at which a live front end ends the window before `frame`."""
    return build_front_end(FrontEnd.WAVE, FeatureConfig(), CLOCK).window_end(frame)


OFFSETS = hop_offsets(HOP, cut)


def make_plan() -> CachePlan:
    found = plan_cache(SAMPLES, OFFSETS)
    assert found is not None
    return found


def stem() -> EncoderStem:
    split = split_encoder(fuse_for_inference(with_trained_statistics("audio")))
    assert split is not None
    return split[0]


class CountingStem:
    """Runs the encoder stem and counts the calls."""

    def __init__(self) -> None:
        self.stem, self.calls = stem(), 0

    def __call__(self, tensors: Tensors) -> Tensors:
        self.calls += 1
        with torch.inference_mode():
            return (self.stem(*tensors),)


def cache_hits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list that records for each encoded window whether the cache was used."""
    hits, cached = list[bool](), EncoderCache.cached

    def note(cache: EncoderCache, state: EncoderState, row: int) -> Tensor | None:
        found = cached(cache, state, row)
        hits.append(found is not None)
        return found

    monkeypatch.setattr(EncoderCache, "cached", note)
    return hits


def windows(hops: int, seed: int = 0) -> list[Tensor]:
    """Consecutive windows of a live stream, at the ends of its front end."""
    torch.manual_seed(seed)
    ends = [SAMPLES + cut(HOP * hop) for hop in range(hops)]
    sound = torch.randn(1, ends[-1], 1) * 0.3
    return [sound[:, last - SAMPLES : last] for last in ends]


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 5, 8])
def test_hop_offsets_are_multiples_of_the_stride(hop: int) -> None:
    offsets = hop_offsets(hop, cut)
    assert len(offsets) <= 2
    assert all(offset % STRIDE == 0 for offset in offsets)
    for frame in range(0, 999, hop):
        assert cut(frame + hop) - cut(frame) in offsets
        assert 0 <= CLOCK.first_sample(frame) - cut(frame) < STRIDE


@pytest.mark.parametrize(("samples", "hop"), [(SAMPLES, 1), (SAMPLES, 8), (34130, 2), (51200, 4)])
def test_every_activation_has_one_source(samples: int, hop: int) -> None:
    found = plan_cache(samples, hop_offsets(hop, cut))
    assert found is not None
    full = [i for call in found.full for i in range(samples)[call.place]]
    assert full == list(range(stem_length(samples)))
    incremental = [i for call in found.incremental for i in range(samples)[call.place]]
    cached = range(samples)[found.cached]
    assert sorted((*incremental, *cached)) == full
    for call in (*found.full, *found.incremental):
        assert sum(len(range(samples)[part]) for part in call.inputs) == found.segment
        assert len(range(samples)[call.outputs]) == len(range(samples)[call.place])


@pytest.mark.parametrize(("samples", "hop"), [(SAMPLES, 32), (8000, 8), (500, 1)])
def test_no_plan_for_windows_with_too_little_overlap(samples: int, hop: int) -> None:
    assert plan_cache(samples, hop_offsets(hop, cut)) is None


def test_front_end_and_encoder_have_the_same_stride() -> None:
    assert WAVE_STEP == STRIDE


def test_no_plan_for_offsets_off_the_stride() -> None:
    assert plan_cache(SAMPLES, hop_offsets(HOP, CLOCK.first_sample)) is None


class StreamEncoder:
    """Encodes the windows of one stream through a cache, as the runner does."""

    def __init__(self) -> None:
        self.run, self.state = CountingStem(), EncoderState.empty(1)
        self.cache = EncoderCache(self.run, make_plan())
        self.end = 0

    def __call__(self, audio: Tensor, end: int) -> Tensor:
        """Encode the window that ends before frame `end`."""
        self.state.advance(0, cut(end) - cut(self.end))
        self.end = end
        return self.cache(audio, self.state)


def test_successive_windows_need_one_call_each() -> None:
    encoder = StreamEncoder()
    for number, audio in enumerate(windows(24)):
        before = encoder.run.calls
        activations = encoder(audio, number * HOP)
        with torch.inference_mode():
            torch.testing.assert_close(activations, encoder.run.stem(audio), atol=1e-6, rtol=1e-5)
        assert encoder.run.calls - before == (1 if number else len(make_plan().full)), number


def test_a_skipped_hop_costs_one_full_encode() -> None:
    encoder, stream = StreamEncoder(), windows(8)
    for number in range(4):
        encoder(stream[number], number * HOP)
    before = encoder.run.calls
    encoder(stream[5], 5 * HOP)
    assert encoder.run.calls - before == len(make_plan().full)
    encoder(stream[6], 6 * HOP)
    assert encoder.run.calls - before == len(make_plan().full) + 1


def test_the_output_does_not_depend_on_the_cache() -> None:
    encoder, stream = StreamEncoder(), windows(9)
    for number, audio in enumerate(stream[:-1]):
        encoder(audio, number * HOP)
    before = encoder.run.calls
    cached = encoder(stream[-1], 8 * HOP)
    assert encoder.run.calls == before + 1
    fresh = encoder.cache(stream[-1], EncoderState.empty(1))
    torch.testing.assert_close(cached, fresh, atol=1e-6, rtol=1e-6)


def test_replaced_samples_are_encoded_in_full() -> None:
    encoder, (before, audio) = StreamEncoder(), windows(2)
    encoder(before, 0)
    encoder.state.clear()
    calls = encoder.run.calls
    activations = encoder(audio, HOP)
    assert encoder.run.calls - calls == len(make_plan().full)
    with torch.inference_mode():
        torch.testing.assert_close(activations, encoder.run.stem(audio), atol=1e-6, rtol=1e-5)


def test_rows_of_a_batch_have_their_own_cache() -> None:
    one, two = windows(3), windows(3, seed=1)
    run, state = CountingStem(), EncoderState.empty(2)
    cache = EncoderCache(run, make_plan())
    for number in range(3):
        moved = cut(number * HOP) - cut(max(0, number - 1) * HOP)
        state.advance(0, moved)
        state.advance(1, 0 if number == 2 else moved)  # the second stream repeats a window
        audio = torch.cat((one[number], two[min(number, 1)]))
        before = run.calls
        activations = cache(audio, state)
        with torch.inference_mode():
            torch.testing.assert_close(activations, run.stem(audio), atol=1e-6, rtol=1e-5)
    assert run.calls - before == 1 + len(make_plan().full)


def test_windows_of_other_lengths_are_refused() -> None:
    cache = EncoderCache(CountingStem(), make_plan())
    with pytest.raises(ShapeError, match=r"made for sound \(1, 34112, 1\), got \(1, 34000, 1\)"):
        cache(torch.zeros(1, 34000, 1), EncoderState.empty(1))


# -- kernels ---------------------------------------------------------------------------------------


def waveform_model() -> tuple[GestureModel, WindowShape]:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    speakers = bundle.config.gesture.speakers
    return bundle.gesture, WindowShape(1, 64, SAMPLES, 1, MOTION.width, 0, speakers, 2)


def live_windows(shape: WindowShape, hops: int) -> list[WindowInputs]:
    generator = torch.Generator().manual_seed(0)
    return [draw_window(shape, generator)._replace(audio=audio) for audio in windows(hops)]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("onnx", 1e-4, marks=pytest.mark.onnx),
        pytest.param("openvino", 1e-4, marks=pytest.mark.openvino),
        pytest.param("openvino-int8", 0.1, marks=pytest.mark.nncf),
    ],
)
def test_stem_and_tail_equal_the_model(name: str, error: float) -> None:
    model, shape = waveform_model()
    model = fuse_for_inference(model)
    spec = KernelSpec(shape, samples=lambda: live_windows(shape, 8), fixed=True)
    split = split_for_cache(name, model, spec, OFFSETS)
    assert split is not None
    tail = make_kernel(name, split.tail, split.spec)
    state = EncoderState.empty(1)

    def kernel(window: WindowInputs) -> WindowOutputs:
        return tail(window._replace(audio=split.cache(window.audio, state)))

    eager = EagerKernel(model, shape.newest)
    for number, window in enumerate(live_windows(shape, 4)):
        state.advance(0, cut(number * HOP) - cut(max(0, number - 1) * HOP))
        actual, expected = kernel(window), eager(window)
        for a, b in zip(expected.latents, actual.latents, strict=True):
            assert relative_error(a, b) < error


def test_models_without_a_usable_cache_are_not_split() -> None:
    model, shape = waveform_model()
    assert (
        split_for_cache("onnx", fuse_for_inference(model), KernelSpec(shape), hop_offsets(32, cut))
        is None
    )
    assert (
        split_for_cache(
            "onnx", fuse_for_inference(with_trained_statistics("live")), KernelSpec(shape), OFFSETS
        )
        is None
    )
