import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.errors import BundleError
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import CachedEncoderKernel
from engine.kernels.from_bundle import staged_step, window_shape
from engine.kernels.window_graph import draw_window
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.stream.stream import GestureStream
from exporters.commands import kernels
from exporters.commands.kernels import (
    batched,
    kernel_request,
    made_kernel,
    model_folder,
    real_windows,
    spared,
)
from tests.support.audio import babble
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def clip(folder: Path) -> tuple[Path, Path]:
    sound, words = folder / "clip.wav", folder / "clip.tsv"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16000).astype(np.float32)
    soundfile.write(sound, noise, 16000)
    words.write_text("0.1\t0.4\thello\n")
    return sound, words


def test_shapes_are_those_of_the_stream(tmp_path: Path) -> None:
    for bundle in (tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)):
        schedule = bundle.config.schedule
        shape = window_shape(bundle, schedule)
        window = real_windows(bundle, schedule, 2, *clip(tmp_path))[0]
        assert window.motion.shape == (1, shape.frames, shape.motion)
        assert window.audio.shape == (1, shape.entries, shape.channels)
        assert window.words.shape == (1, shape.frames)


def test_real_windows_are_spread_over_the_clip(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    windows = real_windows(bundle, bundle.config.schedule, 4, *clip(tmp_path))
    assert len(windows) == 4
    assert len({float(window.audio.sum()) for window in windows}) == 4


def test_another_model_has_another_folder(tmp_path: Path) -> None:
    one, two = tiny_bundle(), tiny_bundle()
    assert model_folder(one) == model_folder(two)
    folder = model_folder(one)
    assert folder is not None
    assert folder.is_relative_to(tmp_path / "cache")
    two.gesture.classifiers[0].second.bias.data[0] += 1.0
    assert model_folder(one) != model_folder(two)
    assert model_folder(tiny_bundle(hop=4)) != model_folder(one)


def test_requests_are_for_so_many_rows() -> None:
    bundle = tiny_bundle()
    request = kernel_request(bundle, bundle.config.schedule, lambda text: None, rows=3)
    assert request.shape.rows == 3
    assert request.settings.folder == model_folder(bundle)


def test_speech_is_recorded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, told = tiny_bundle(), list[str]()
    recorded = real_windows(bundle, bundle.config.schedule, 3, *clip(tmp_path))
    monkeypatch.setattr(kernels, "real_windows", lambda *_: recorded)

    def samples() -> list[WindowInputs]:
        return list(kernel_request(bundle, bundle.config.schedule, told.append).samples())

    for _ in range(2):
        found = samples()
        assert len(found) == 3
        assert all(bool((a == b).all()) for a, b in zip(found[1], recorded[1], strict=True))
    assert told == ["recording windows of speech ..."]
    (path,) = tmp_path.rglob("speech_*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(samples()) == 3
    assert len(samples()) == 3
    assert len(told) == 2


def test_speech_that_cannot_be_kept_is_recorded_once_a_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle, told = tiny_bundle(), list[str]()
    recorded = real_windows(bundle, bundle.config.schedule, 3, *clip(tmp_path))
    monkeypatch.setattr(kernels, "real_windows", lambda *_: recorded)
    monkeypatch.setattr(kernels, "model_folder", lambda _: None)
    request = kernel_request(bundle, bundle.config.schedule, told.append)
    assert request.settings.folder is None
    assert len(request.samples()) == len(request.samples()) == 3
    assert told.count("recording windows of speech ...") == 1


def test_windows_of_batches_have_other_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    windows = [draw_window(SHAPE, generator) for _ in range(3)]
    batches = batched(windows, 2)
    assert len(batches) == 3
    assert torch.equal(batches[2].audio, torch.cat((windows[2].audio, windows[0].audio)))


def test_recording_windows_leaves_the_threads_as_they_are(tmp_path: Path) -> None:
    bundle, before = tiny_bundle(), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        real_windows(bundle, bundle.config.schedule, 1, *clip(tmp_path))
        assert torch.get_num_threads() == 3
        assert kernel_request(bundle, bundle.config.schedule, print).settings.threads == 3
    finally:
        torch.set_num_threads(before)


def test_weights_that_a_kernel_has_taken_over_are_freed() -> None:
    class Taken:
        name = "taken"

        def __init__(self, inner: Kernel) -> None:
            self._inner = inner

        def __call__(self, inputs: WindowInputs) -> WindowOutputs:
            return self._inner(inputs)

    bundle = tiny_bundle()
    eager = EagerKernel(bundle.gesture, bundle.config.schedule.newest)
    assert spared(staged_step(bundle, kernel=eager), bundle) is bundle
    step = staged_step(bundle, kernel=Taken(eager))
    light = spared(step, bundle)
    watched = weakref.ref(bundle.gesture)
    with pytest.raises(BundleError, match="moved to a kernel"):
        light.gesture(None)
    sound = babble(1.0)

    def first(given: Bundle, by: HopStep) -> np.ndarray:
        stream = GestureStream(given, step=by)
        stream.feed_audio(sound)
        chunk = stream.next_chunk()
        assert chunk is not None
        return chunk.rotations

    np.testing.assert_array_equal(first(light, step), first(bundle, step))
    del bundle, eager, step
    gc.collect()
    assert watched() is None


@pytest.mark.onnx
def test_a_live_kernel_does_not_hear_twice_where_that_is_possible() -> None:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    told: list[str] = []

    def made(schedule: Schedule) -> Kernel:
        return made_kernel("onnx", bundle, schedule, told.append)

    kernel = made(Schedule(window=64, seed=60, hop=2))
    assert isinstance(kernel, CachedEncoderKernel)
    assert kernel.name == "onnx"
    assert [name for text in told for name in ("hearing", "window") if name in text]
    for schedule in (Schedule(window=64, seed=32, hop=32), bundle.config.file_schedule):
        assert not isinstance(made(schedule), CachedEncoderKernel)
