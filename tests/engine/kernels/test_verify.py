"""Verified graphs are checked against stored reference outputs, all others against the model."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from engine.kernels.graph import Run, Settings, Tensors
from engine.kernels.parity import ParityError
from engine.kernels.verify import admitted, recalled, remember
from engine.system import cache
from tests.support.graphs import small_graph

GRAPH = small_graph()
INPUTS = [GRAPH.example, tuple(2 * x for x in GRAPH.example)]


class ErrorBackend:
    """Adds a cached number to the outputs; counts parity checks and calls."""

    def __init__(self, folder: Path, machine: str = "this one", threads: int = 1) -> None:
        self.settings = Settings(threads, folder, machine=machine)
        path = self.settings.kept(GRAPH, "fp32.xml")
        assert path is not None
        self.path = path
        self.compared = self.called = 0

    def prepare(self, settings: Settings) -> Run:
        error = 0.0
        if settings.folder is not None:
            if not self.path.is_file():
                self.path.write_text("0")
            error = float(self.path.read_text())

        def run(tensors: Tensors) -> Tensors:
            self.called += 1
            return tuple(x + error for x in GRAPH.module(*tensors))

        return run

    def compare(self, run: Run) -> Sequence[Tensors]:
        self.compared += 1
        for each in INPUTS:
            for actual, expected in zip(run(each), GRAPH.module(*each), strict=True):
                if not torch.allclose(actual, expected, atol=0.1):
                    raise ParityError("off")
        return INPUTS

    def admitted(self, backend: str = "openvino") -> Run:
        return admitted(self.prepare, self.compare, GRAPH, self.settings, backend)


def test_a_verified_graph_is_not_compared_again(tmp_path: Path) -> None:
    first, second = ErrorBackend(tmp_path), ErrorBackend(tmp_path)
    first.admitted()
    run = second.admitted()
    assert (first.compared, second.compared) == (1, 0)
    assert second.called == 2
    for actual, expected in zip(run(INPUTS[0]), GRAPH.module(*INPUTS[0]), strict=True):
        torch.testing.assert_close(actual, expected)
    assert first.settings.files(GRAPH) == [first.path]


@pytest.mark.parametrize(
    ("other", "name"),
    [({"machine": "another"}, "openvino"), ({"threads": 2}, "openvino"), ({}, "openvino-bf16")],
)
def test_another_machine_thread_count_or_backend_is_compared(
    tmp_path: Path, other: dict[str, object], name: str
) -> None:
    ErrorBackend(tmp_path).admitted()
    backend = ErrorBackend(tmp_path, **other)  # type: ignore[arg-type]
    backend.admitted(name)
    assert backend.compared == 1


def test_a_changed_file_is_compared_and_rebuilt_on_a_mismatch(tmp_path: Path) -> None:
    ErrorBackend(tmp_path).admitted()
    backend = ErrorBackend(tmp_path)
    backend.path.write_text("0.01")  # within tolerance, but another file
    backend.admitted()
    assert backend.compared == 1
    backend.path.write_text("100")
    backend.admitted()
    assert backend.compared == 3
    assert backend.path.read_text() == "0"


def test_a_graph_with_other_outputs_than_before_is_compared(tmp_path: Path) -> None:
    """The files are unchanged, but the library computes other values."""
    ErrorBackend(tmp_path).admitted()
    backend = ErrorBackend(tmp_path)
    run = backend.prepare(backend.settings)
    calls = [(each, tuple(x + 1 for x in run(each))) for each in INPUTS]
    remember(GRAPH, backend.settings, "openvino", calls)
    backend.admitted()
    assert backend.compared == 1
    second = ErrorBackend(tmp_path)
    second.admitted()
    assert second.compared == 0


def test_a_graph_that_never_matches_is_refused_and_not_recorded(tmp_path: Path) -> None:
    class NeverMatches(ErrorBackend):
        def prepare(self, settings: Settings) -> Run:
            super().prepare(settings)
            return lambda tensors: tuple(x + 1 for x in GRAPH.module(*tensors))

    with pytest.raises(ParityError):
        NeverMatches(tmp_path).admitted()
    assert not list(tmp_path.glob("*.proof.*"))


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff" * 40, b"\x08" + b"\0" * 7 + b"{}      "])
def test_damaged_reference_outputs_are_ignored(tmp_path: Path, damaged: bytes) -> None:
    backend = ErrorBackend(tmp_path)
    backend.admitted()
    (proof,) = tmp_path.glob("*.proof.safetensors")
    proof.write_bytes(damaged)
    assert recalled(GRAPH, backend.settings, "openvino") == []
    backend.admitted()
    assert backend.compared == 2
    assert len(recalled(GRAPH, backend.settings, "openvino")) == 2


def test_an_undeletable_wrong_file_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a read-only folder; permissions do not stop root, who may run the tests."""
    backend = ErrorBackend(tmp_path)
    backend.path.write_text("100")
    monkeypatch.setattr(cache, "delete", lambda path: False)
    run = backend.admitted()
    for actual, expected in zip(run(INPUTS[0]), GRAPH.module(*INPUTS[0]), strict=True):
        torch.testing.assert_close(actual, expected)
    assert backend.path.read_text() == "100"


def test_cached_graphs_and_reference_outputs_are_deleted_together(tmp_path: Path) -> None:
    backend = ErrorBackend(tmp_path)
    backend.admitted()
    assert len(list(tmp_path.iterdir())) == 2
    assert backend.settings.forget(GRAPH)
    assert not list(tmp_path.iterdir())


def test_reference_outputs_need_a_machine_a_folder_and_a_cached_file(tmp_path: Path) -> None:
    calls = [(GRAPH.example, GRAPH.module(*GRAPH.example))]
    for settings in (Settings(1, tmp_path), Settings(machine="this one")):
        remember(GRAPH, settings, "openvino", calls)
        assert recalled(GRAPH, settings, "openvino") == []
    remember(GRAPH, Settings(1, tmp_path, machine="this one"), "compile", calls)
    assert not list(tmp_path.iterdir())
