"""The parts that do not need the reference implementation: errors, engine, and table."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.perf.reference import (
    Comparison,
    Engine,
    Reference,
    first_window,
    live_calls,
    step_rows,
    step_table,
    table,
)
from engine.config.model import FrontEnd
from engine.errors import ConfigError
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.types import WindowInputs, WindowOutputs
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_published_bundle


def test_a_folder_without_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected models/emage_audio in it"):
        Reference(tmp_path, tmp_path)


def test_a_failed_import_names_the_missing_package(tmp_path: Path, monkeypatch) -> None:
    package = tmp_path / "models" / "emage_audio"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import a_package_nobody_has\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(ConfigError, match=r"does not start .*a_package_nobody_has"):
        Reference(tmp_path, tmp_path)


class Watched(EagerKernel):
    seen: WindowInputs | None = None

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        self.seen = self.seen or inputs
        return super().__call__(inputs)


def test_a_window_of_the_engine_equals_a_file_of_one_window() -> None:
    """A window of the engine decodes to the frames that the stream emits for the file."""
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    sound = babble(1.0)
    ours = Engine(bundle)
    rotations, places = ours.file(torch.from_numpy(sound)[None])
    assert rotations.shape == (30, 55, 4)
    assert places.shape == (30, 3)
    kernel = Watched(bundle.gesture)
    step = staged_step(bundle, bundle.config.file_schedule, kernel=kernel)
    stream = GestureStream(bundle, schedule=bundle.config.file_schedule, step=step)
    stream.feed_audio(sound)
    stream.flush()
    assert kernel.seen is not None
    window = ours.window(kernel.seen.audio[..., 0], kernel.seen.motion, kernel.seen.mask)
    assert window.shape == (24, 55, 4)
    # The last frames of the window are decoded without the following codes.
    np.testing.assert_allclose(window[:4], rotations[:4], atol=1e-4)


def test_sound_shorter_than_a_window_is_refused() -> None:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    with pytest.raises(ConfigError, match=r"a window is 0\.80 s of sound, got 0\.50 s"):
        first_window(bundle, babble(0.5))
    audio, motion, mask = first_window(bundle, babble(0.9))
    assert audio.shape[1] == 24 * 533
    assert motion.shape == mask.shape == (1, 24, 337)


def test_the_table() -> None:
    text = table([Comparison("window", 200.0, 100.0, 0.5, 0.01, 0.0001)])
    assert "0.500" in text
    assert "0.100 mm" in text


def test_live_steps_are_hops_of_a_live_stream() -> None:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    calls = live_calls(bundle, ["eager"], 2, 1)
    assert list(calls) == ["eager"]
    for _ in range(4):
        poses = calls["eager"]()
        assert poses is not None
        assert len(poses.rotations) == 2


def test_live_steps_are_relative_to_the_reference_window() -> None:
    rows = step_rows({"published": [190.0, 200.0, 210.0], "fast": [24.0, 25.0, 26.0]})
    assert [row.ratio for row in rows] == [1.0, 0.125]
    assert "(1 / 8.0)" in step_table(rows)
