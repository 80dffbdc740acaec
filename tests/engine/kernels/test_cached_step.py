"""Hops with cached encoder activations equal the same hops without a cache."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle.io import Bundle
from engine.errors import ShapeError
from engine.generate.state import EncoderState
from engine.generate.step import HopStep
from engine.kernels.cached_step import CachedEncoderStep
from engine.kernels.from_bundle import fused_module
from engine.kernels.fused_step import HopInputs
from engine.kernels.parity import relative_error
from engine.motion.pose import PoseChunk, concatenate
from engine.stream.build_step import build_step, fused_step
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from engine.timing import Stage, StageTimings, no_timer
from tests.engine.kernels.test_encoder_cache import (
    HOP,
    cache_hits,
    cut,
    live_windows,
    waveform_model,
)
from tests.support.audio import babble
from tests.support.build_targets import target_of, waveform_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return waveform_bundle()


def live_hops(bundle: Bundle, count: int) -> list[HopInputs]:
    """Consecutive hops of one audio stream."""
    _, shape = waveform_model()
    network, generator = fused_module(bundle, bundle.config.schedule), torch.Generator()
    generator.manual_seed(1)
    return [
        network.draw(shape, generator)._replace(window=window)
        for window in live_windows(shape, count)
    ]


def build_cached_step(name: str, bundle: Bundle) -> CachedEncoderStep:
    step = build_step(name, target_of(bundle))
    assert isinstance(step, CachedEncoderStep)
    return step


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("onnx", 1e-3, marks=pytest.mark.onnx),
        pytest.param("openvino", 1e-3, marks=pytest.mark.openvino),
        pytest.param("openvino-int8", 0.3, marks=pytest.mark.nncf),
    ],
)
def test_cached_hops_equal_uncached_ones(
    name: str, error: float, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, hops = build_cached_step(name, bundle), live_hops(bundle, 4)
    plain = fused_module(bundle, bundle.config.schedule).eval().staged()
    hits, encoder = cache_hits(monkeypatch), EncoderState.empty(1)
    for number, (window, history, noise) in enumerate(hops):
        encoder.advance(0, cut(number * HOP) - cut(max(0, number - 1) * HOP))
        actual = step(window, history, lambda noise=noise: noise, no_timer, encoder)
        expected = plain(window, history, lambda noise=noise: noise, no_timer, encoder)
        assert actual.codes.shape == expected.codes.shape
        assert relative_error(expected.decoded.motion, actual.decoded.motion) < error
    assert hits == [False, True, True, True]


@pytest.mark.openvino
def test_stages_are_kernel_and_choose_only(bundle: Bundle) -> None:
    ticks = iter(range(1000))
    timings, (hop, *_) = StageTimings(lambda: float(next(ticks))), live_hops(bundle, 1)
    step, encoder = build_cached_step("openvino", bundle), EncoderState.empty(1)
    step(hop.window, hop.history, lambda: hop.noise, timings.watch, encoder)
    found = timings.summary()
    assert [stage for stage in Stage if found[stage] is not None] == [Stage.KERNEL, Stage.CHOOSE]
    short = hop.window._replace(audio=hop.window.audio[:, 1:])
    with pytest.raises(ShapeError, match="made for sound"):
        step(short, hop.history, lambda: hop.noise, no_timer, encoder)


def test_a_bundle_with_features_has_no_encoder_cache() -> None:
    assert not isinstance(build_step("eager", target_of()), CachedEncoderStep)


@pytest.mark.openvino
def test_batched_streams_equal_single_streams(bundle: Bundle) -> None:
    """The encoder cache is part of each stream's state, also in batches."""
    sounds = [babble(1.0, seed=seed) for seed in (0, 1)]

    def alone(step: HopStep, number: int) -> np.ndarray:
        stream = GestureStream(bundle, step=step, seed=number)
        stream.feed_audio(sounds[number])
        return concatenate(stream.drain()).rotations

    single, double = (fused_step("openvino", target_of(bundle), rows=rows) for rows in (1, 2))
    assert isinstance(double, CachedEncoderStep)
    pool = StreamPool(bundle, 2, step=double)
    slots = [pool.open(seed=seed) for seed in (0, 1)]
    for slot, sound in zip(slots, sounds, strict=True):
        pool.feed_audio(slot, sound)
    chunks_of: dict[int, list[PoseChunk]] = {slot: [] for slot in slots}
    while chunks := pool.step():
        for slot, chunk in chunks.items():
            chunks_of[slot].append(chunk)
    for number, slot in enumerate(slots):
        actual, expected = concatenate(chunks_of[slot]).rotations, alone(single, number)
        np.testing.assert_allclose(actual, expected, atol=1e-3)
