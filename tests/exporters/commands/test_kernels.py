import gc
import json
import os
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.bundle import Bundle
from engine.config import FrontEnd
from engine.errors import BundleError, KernelError, MissingBackendError
from engine.kernels.base import Kernel, WindowInputs, WindowOutputs
from engine.kernels.eager import EagerKernel
from engine.kernels.flat import draw_window
from engine.kernels.registry import Request
from engine.stream import GestureStream
from exporters.commands import kernels
from exporters.commands.kernels import (
    Recorder,
    batched,
    chosen_before,
    kernel_request,
    leave_cores_to,
    model_folder,
    ready_kernel,
    real_windows,
    spared,
    window_shape,
)
from tests.engine.kernels.graphs import SHAPE
from tests.models import tiny_bundle, tiny_published_bundle
from tests.sounds import babble


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
    assert model_folder(one).is_relative_to(tmp_path / "cache")
    two.gesture.classifiers[0].second.bias.data[0] += 1.0
    assert model_folder(one) != model_folder(two)
    assert model_folder(tiny_bundle(hop=4)) != model_folder(one)


def test_a_missing_library_falls_back_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Kernel:
        raise MissingBackendError("get it by pip install x")

    monkeypatch.setattr(kernels, "make_kernel", missing)
    bundle, told = tiny_bundle(), list[str]()
    kernel = ready_kernel("onnx", bundle, bundle.config.schedule, told.append)
    assert kernel.name == "eager"
    assert told == ["note: get it by pip install x; running eager"]


class Fake:
    """Kernels that run as eager does; counts how often each was made."""

    def __init__(self, refused: str = "") -> None:
        self.made: list[str] = []
        self.refused = refused

    def __call__(self, name: str, model: object, request: Request) -> Kernel:
        if name == self.refused:
            raise KernelError("refused")
        self.made.append(name)
        kernel = EagerKernel(model, request.shape.newest)  # type: ignore[arg-type]
        kernel.name = name
        return kernel


def _choose(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Kernel:
    times = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}
    monkeypatch.setattr(kernels, "make_kernel", fake)
    monkeypatch.setattr(kernels, "median_s", lambda kernel, *_: times.get(kernel.name, 9.0))
    bundle = tiny_bundle()
    return ready_kernel("auto", bundle, bundle.config.schedule, lambda text: None)


def test_auto_takes_the_fastest_and_remembers_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = Fake(), Fake()
    bundle = tiny_bundle()
    assert chosen_before(bundle, bundle.config.schedule, lambda text: None) is None
    assert _choose(monkeypatch, first).name == "openvino"
    assert chosen_before(bundle, bundle.config.schedule, lambda text: None) == "openvino"
    assert "onnx" in first.made
    (path,) = tmp_path.rglob("auto_*.json")
    assert json.loads(path.read_text())["kernel"] == "openvino"
    assert _choose(monkeypatch, second).name == "openvino"
    assert second.made == ["openvino"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kernel": "warp"}', '{"kernel": 3}'])
def test_auto_chooses_again_where_its_memory_is_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    _choose(monkeypatch, Fake())
    (path,) = tmp_path.rglob("auto_*.json")
    path.write_text(text)
    assert _choose(monkeypatch, Fake()).name == "openvino"
    assert json.loads(path.read_text())["kernel"] == "openvino"


def test_auto_passes_over_what_does_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    _choose(monkeypatch, Fake())
    assert _choose(monkeypatch, Fake(refused="openvino")).name == "onnx"


def test_requests_are_for_so_many_rows() -> None:
    bundle = tiny_bundle()
    request = kernel_request(bundle, bundle.config.schedule, lambda text: None, rows=3)
    assert request.shape.rows == 3
    assert request.settings.folder == model_folder(bundle)


def test_speech_is_recorded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, told = tiny_bundle(), list[str]()
    recorded = real_windows(bundle, bundle.config.schedule, 3, *clip(tmp_path))
    monkeypatch.setattr(kernels, "real_windows", lambda *_: recorded)
    request = kernel_request(bundle, bundle.config.schedule, told.append)
    for _ in range(2):
        found = request.samples()
        assert len(found) == 3
        assert all(bool((a == b).all()) for a, b in zip(found[1], recorded[1], strict=True))
    assert told == ["recording windows of speech ..."]
    (path,) = tmp_path.rglob("speech_*.safetensors")
    path.write_bytes(b"cut short")
    assert len(request.samples()) == 3
    assert len(told) == 2


def test_windows_of_batches_have_other_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    windows = [draw_window(SHAPE, generator) for _ in range(3)]
    batches = batched(windows, 2)
    assert len(batches) == 3
    assert torch.equal(batches[2].audio, torch.cat((windows[2].audio, windows[0].audio)))


def test_only_a_graph_takes_the_cores_of_pytorch() -> None:
    before = torch.get_num_threads()
    eager = EagerKernel(torch.nn.Identity())
    graph = Recorder(eager)
    graph.name = "openvino"
    try:
        torch.set_num_threads(2)
        leave_cores_to(eager)
        assert torch.get_num_threads() == 2
        leave_cores_to(graph)
        assert torch.get_num_threads() == 1
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
    assert spared(eager, bundle) is bundle
    kernel = Taken(eager)
    light = spared(kernel, bundle)
    watched = weakref.ref(bundle.gesture)
    with pytest.raises(BundleError, match="given to a kernel"):
        light.gesture(None)
    sound = babble(1.0)

    def first(given: Bundle, by: Kernel) -> np.ndarray:
        stream = GestureStream(given, kernel=by)
        stream.feed_audio(sound)
        chunk = stream.next_chunk()
        assert chunk is not None
        return chunk.rotations

    np.testing.assert_array_equal(first(light, kernel), first(bundle, kernel))
    del bundle, eager, kernel
    gc.collect()
    assert watched() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_freed_goes_back_to_the_system() -> None:
    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    # Small blocks between which something stays: the C library cannot shrink its heap by itself.
    blocks = [bytearray(60_000) for _ in range(2000)]
    kept = [bytearray(60_000)]
    before = resident_mb()
    del blocks
    kernels.give_back_memory()
    assert resident_mb() < before - 60
    assert kept
