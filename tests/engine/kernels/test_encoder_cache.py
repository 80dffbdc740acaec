"""Hearing again only what is new gives what hearing everything gives."""

import dataclasses

import pytest
import torch
from torch import Tensor

from engine.audio.front_end import WAVE_STEP, build_front
from engine.clock import FrameClock
from engine.config.features import FeatureConfig
from engine.config.model import FrontEnd
from engine.errors import ShapeError
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import EncoderCache, Plan, plan, recalling_kernel, shifts
from engine.kernels.graph import Tensors
from engine.kernels.parity import measure
from engine.kernels.registry import Request
from engine.kernels.window_graph import WindowShape, draw_window
from engine.model.encoder_split import STRIDE, EncoderStem, split_encoder, stem_length
from engine.model.fuse import lean
from engine.model.gesture import GestureModel
from engine.model.types import Kernel, WindowInputs
from engine.motion.channels import MOTION
from tests.engine.model.test_fuse import shaken
from tests.support.tiny_bundle import tiny_published_bundle

CLOCK = FrameClock()
SAMPLES = 64 * 533
HOP = 2


def cut(frame: int) -> int:
    """Where a live front end cuts windows."""
    return build_front(FrontEnd.WAVE, FeatureConfig(), CLOCK).cut(frame)


MOVED = shifts(HOP, cut)


def planned() -> Plan:
    found = plan(SAMPLES, MOVED)
    assert found is not None
    return found


def first_blocks() -> EncoderStem:
    split = split_encoder(lean(shaken("audio")))
    assert split is not None
    return split[0]


class Counted:
    """The first blocks as a graph runs them, and how often."""

    def __init__(self, first: EncoderStem) -> None:
        self.first, self.calls = first, 0

    def __call__(self, tensors: Tensors) -> Tensors:
        self.calls += 1
        with torch.inference_mode():
            return (self.first(*tensors),)


def noting(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every window that is heard from now on, whether it follows the one before."""
    noted, known = list[bool](), EncoderCache._known

    def note(ear: EncoderCache, audio: Tensor) -> Tensor | None:
        found = known(ear, audio)
        noted.append(found is not None)
        return found

    monkeypatch.setattr(EncoderCache, "_known", note)
    return noted


def windows(hops: int, seed: int = 0) -> list[Tensor]:
    """Those of a live stream, cut where its front end says."""
    torch.manual_seed(seed)
    ends = [SAMPLES + cut(HOP * hop) for hop in range(hops)]
    sound = torch.randn(1, ends[-1], 1) * 0.3
    return [sound[:, last - SAMPLES : last] for last in ends]


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 5, 8])
def test_windows_move_on_by_whole_entries(hop: int) -> None:
    moved = shifts(hop, cut)
    assert len(moved) <= 2
    assert all(shift % STRIDE == 0 for shift in moved)
    for frame in range(0, 999, hop):
        assert cut(frame + hop) - cut(frame) in moved
        assert 0 <= CLOCK.first_sample(frame) - cut(frame) < STRIDE


@pytest.mark.parametrize(("samples", "hop"), [(SAMPLES, 1), (SAMPLES, 8), (34130, 2), (51200, 4)])
def test_every_entry_comes_from_one_place(samples: int, hop: int) -> None:
    found = plan(samples, shifts(hop, cut))
    assert found is not None
    anew = [i for piece in found.anew for i in range(samples)[piece.place]]
    assert anew == list(range(stem_length(samples)))
    again = [i for piece in found.again for i in range(samples)[piece.place]]
    kept = range(samples)[found.place]
    assert sorted((*again, *kept)) == anew
    for piece in (*found.anew, *found.again):
        assert sum(len(range(samples)[part]) for part in piece.heard) == found.stretch
        assert len(range(samples)[piece.taken]) == len(range(samples)[piece.place])


@pytest.mark.parametrize(("samples", "hop"), [(SAMPLES, 32), (8000, 8), (500, 1)])
def test_where_too_little_stays_nothing_is_planned(samples: int, hop: int) -> None:
    assert plan(samples, shifts(hop, cut)) is None


def test_front_ends_and_encoders_have_one_grid() -> None:
    assert WAVE_STEP == STRIDE


def test_off_the_grid_nothing_is_planned() -> None:
    assert plan(SAMPLES, shifts(HOP, CLOCK.first_sample)) is None


def test_a_stream_is_heard_once() -> None:
    first = first_blocks()
    run = Counted(first)
    ear = EncoderCache(run, planned())
    for number, audio in enumerate(windows(24)):
        before = run.calls
        entries = ear(audio)
        with torch.inference_mode():
            torch.testing.assert_close(entries, first(audio), atol=1e-6, rtol=1e-5)
        assert run.calls - before == (1 if number else len(planned().anew)), number


def test_a_hop_that_was_passed_over_costs_one() -> None:
    run = Counted(first_blocks())
    ear = EncoderCache(run, planned())
    stream = windows(8)
    for audio in stream[:4]:
        ear(audio)
    before = run.calls
    ear(stream[5])
    assert run.calls - before == len(planned().anew)
    ear(stream[6])
    assert run.calls - before == len(planned().anew) + 1


def test_what_is_kept_changes_nothing() -> None:
    run = Counted(first_blocks())
    old = EncoderCache(run, planned())
    for audio in (*windows(3, seed=1), torch.zeros(1, SAMPLES, 1), *windows(9)[:-1]):
        old(audio)
    audio = windows(9)[-1]
    before = run.calls
    again = old(audio)
    assert run.calls == before + 1
    torch.testing.assert_close(again, EncoderCache(run, planned())(audio), atol=1e-6, rtol=1e-6)


def test_sound_that_is_alike_but_for_a_sample_is_heard() -> None:
    first = first_blocks()
    run = Counted(first)
    ear = EncoderCache(run, planned())
    before, audio = windows(2)
    ear(before)
    calls = run.calls
    audio = audio.clone()
    audio[:, SAMPLES // 3] += 0.1
    entries = ear(audio)
    assert run.calls - calls == len(planned().anew)
    with torch.inference_mode():
        torch.testing.assert_close(entries, first(audio), atol=1e-6, rtol=1e-5)


def test_windows_of_another_length_are_refused() -> None:
    ear = EncoderCache(Counted(first_blocks()), planned())
    with pytest.raises(ShapeError, match=r"made for sound \(1, 34112, 1\), got \(1, 34000, 1\)"):
        ear(torch.zeros(1, 34000, 1))


# -- kernels ---------------------------------------------------------------------------------------


def small() -> tuple[GestureModel, WindowShape]:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    speakers = bundle.config.gesture.speakers
    return bundle.gesture, WindowShape(1, 64, SAMPLES, 1, MOTION.width, 0, speakers, 2)


def live_windows(shape: WindowShape, hops: int) -> list[WindowInputs]:
    generator = torch.Generator().manual_seed(0)
    return [draw_window(shape, generator)._replace(audio=audio) for audio in windows(hops)]


def made(name: str, hops: int) -> tuple[Kernel, EagerKernel, list[WindowInputs]]:
    model, shape = small()
    model = lean(model)
    stream = live_windows(shape, hops)
    request = Request(shape, samples=lambda: live_windows(shape, 8), fixed=True)
    kernel = recalling_kernel(name, model, request, MOVED)
    assert kernel is not None
    assert kernel.name == name
    return kernel, EagerKernel(model, shape.newest), stream


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("onnx", 1e-4, marks=pytest.mark.onnx),
        pytest.param("openvino", 1e-4, marks=pytest.mark.openvino),
        pytest.param("openvino-int8", 0.1, marks=pytest.mark.nncf),
    ],
)
def test_a_kernel_that_recalls_is_the_kernel(name: str, error: float) -> None:
    kernel, eager, stream = made(name, 4)
    anew = kernel(stream[-1])
    assert measure(kernel, eager, stream).error < error
    # Heard before in the meantime, but for the newest: 8 bits do not tell either.
    again = kernel(stream[-1])
    for a, b in zip(anew.latents, again.latents, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_no_kernel_recalls_what_it_cannot() -> None:
    model, shape = small()
    model = lean(model)
    for rows, moved in ((2, MOVED), (1, shifts(32, cut))):
        request = Request(dataclasses.replace(shape, rows=rows))
        assert recalling_kernel("onnx", model, request, moved) is None
    other = lean(shaken("live"))
    assert recalling_kernel("onnx", other, Request(shape), MOVED) is None
