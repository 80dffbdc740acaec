import json
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.perf.kernels import KernelResult, interleave, on_speech, table
from engine.bundle.io import save_bundle
from engine.kernels.eager import EagerKernel
from engine.kernels.window_graph import draw_window
from engine.model.types import WindowInputs, WindowOutputs
from tests.engine.stream.test_calibration import clip
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle


def test_calls_are_interleaved() -> None:
    order: list[str] = []
    times = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert [len(found) for found in times.values()] == [3, 3]
    assert order[:4] == ["a", "a", "b", "b"]


def test_on_speech_counts_equal_classes_and_selected_codes() -> None:
    bundle, generator = tiny_bundle(), torch.Generator().manual_seed(0)
    eager = EagerKernel(bundle.gesture, 2)
    windows = [draw_window(SHAPE, generator) for _ in range(3)]
    assert on_speech(bundle, eager, eager, windows) == (0.0, 1.0, 1.0)

    def turned(inputs: WindowInputs) -> WindowOutputs:
        """Kernel with negated logits; the face is selected by latents and keeps its codes."""
        found = eager(inputs)
        return WindowOutputs(found.latents, tuple(-scores for scores in found.logits))

    error, codes, chosen = on_speech(bundle, turned, eager, windows)  # type: ignore[arg-type]
    assert error == 0.0
    assert codes == 0.0
    assert chosen == 0.25


def test_a_failed_kernel_has_its_reason_in_the_table() -> None:
    text = table([KernelResult("eager", p50_ms=2.0), KernelResult("warp", reason="not here")])
    assert "2.00 ms" in text
    assert "not here" in text.splitlines()[2]


def test_the_last_line_is_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_bundle(tiny_bundle(), tmp_path / "model")
    sound, _ = clip(tmp_path)
    options = ["--model", str(tmp_path / "model"), "--wav", str(sound), "--repeats", "2"]
    assert main(["kernels", *options, "--kernel", "cudagraph", "warp"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    eager, graph, unknown, whole = report["kernels"]
    assert whole["step_ratio"] == 1.0
    assert eager["step_p50_ms"] > 0
    assert eager["ratio"] == 1.0
    assert eager["p50_ms"] > 0
    assert "unknown kernel" in unknown["reason"]
    assert graph["reason"] or torch.cuda.is_available()
