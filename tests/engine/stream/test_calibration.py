"""Recording of windows and hops for calibration, its cached files, and batching."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.config.model import FrontEnd
from engine.kernels.build_target import BuildTarget
from engine.kernels.from_bundle import window_shape
from engine.kernels.window_graph import draw_window
from engine.model.types import WindowInputs
from engine.stream import calibration
from engine.stream.calibration import (
    batch_hops,
    batch_windows,
    kernel_spec,
    record_hops,
    record_windows,
)
from tests.support.build_targets import target_of
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


def test_recorded_windows_have_the_shapes_of_the_stream(tmp_path: Path) -> None:
    for bundle in (tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)):
        schedule = bundle.config.schedule
        shape = window_shape(bundle, schedule)
        window = record_windows(target_of(bundle), 2, clip(tmp_path))[0]
        assert window.motion.shape == (1, shape.frames, shape.motion)
        assert window.audio.shape == (1, shape.audio_steps, shape.channels)
        assert window.words.shape == (1, shape.frames)


def test_recorded_windows_are_spread_over_the_clip(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    windows = record_windows(target_of(bundle), 4, clip(tmp_path))
    assert len(windows) == 4
    assert len({float(window.audio.sum()) for window in windows}) == 4


def test_requests_have_the_given_batch_size() -> None:
    bundle = tiny_bundle()
    request = kernel_spec(target_of(bundle), rows=3)
    assert request.shape.rows == 3
    assert request.options.folder == target_of(bundle).folder


def test_speech_is_recorded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, lines = tiny_bundle(), list[str]()
    recorded = record_windows(target_of(bundle), 3, clip(tmp_path))
    monkeypatch.setattr(calibration, "record_windows", lambda *_: recorded)

    def samples() -> list[WindowInputs]:
        return list(kernel_spec(target_of(bundle, log=lines.append)).samples())

    for _ in range(2):
        found = samples()
        assert len(found) == 3
        assert all(bool((a == b).all()) for a, b in zip(found[1], recorded[1], strict=True))
    assert lines == ["recording windows of speech ..."]
    (path,) = tmp_path.rglob("speech_*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(samples()) == 3
    assert len(samples()) == 3
    assert len(lines) == 2


def test_without_a_cache_speech_is_recorded_once_per_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle, lines = tiny_bundle(), list[str]()
    recorded = record_windows(target_of(bundle), 3, clip(tmp_path))
    monkeypatch.setattr(calibration, "record_windows", lambda *_: recorded)
    target = BuildTarget(bundle, bundle.config.schedule, None, lines.append)
    request = kernel_spec(target)
    assert request.options.folder is None
    assert len(request.samples()) == len(request.samples()) == 3
    assert lines.count("recording windows of speech ...") == 1


def test_batched_windows_have_different_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    windows = [draw_window(SHAPE, generator) for _ in range(3)]
    batches = batch_windows(windows, 2)
    assert len(batches) == 3
    assert torch.equal(batches[2].audio, torch.cat((windows[2].audio, windows[0].audio)))


def test_recording_restores_the_thread_count(tmp_path: Path) -> None:
    bundle, before = tiny_bundle(), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        record_windows(target_of(bundle), 1, clip(tmp_path))
        assert torch.get_num_threads() == 3
        assert kernel_spec(target_of(bundle)).options.threads == 3
    finally:
        torch.set_num_threads(before)


def test_recorded_hops_have_the_shapes_of_a_stream() -> None:
    bundle = tiny_bundle()
    hops = record_hops(target_of(bundle), 3)
    assert len(hops) == 3
    assert not torch.equal(hops[0].history, hops[2].history)
    noise = hops[0].noise
    assert noise is not None
    assert noise.shape == (1, 4, 2, 24)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_batched_hops_have_different_rows(temperature: float) -> None:
    bundle = tiny_bundle(temperature=temperature)
    hops = record_hops(target_of(bundle), 3)
    batches = batch_hops(hops, 2)
    assert len(batches) == 3
    for batched, first, second in zip(batches[2].flat, hops[2].flat, hops[0].flat, strict=True):
        assert torch.equal(batched, torch.cat((first, second)))
