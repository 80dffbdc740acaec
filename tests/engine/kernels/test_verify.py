"""Graphs that matched before give what they gave; all others are compared."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import ParityError
from engine.kernels.verify import build_verified, load_reference, save_reference
from engine.system import cache
from tests.support.graphs import small_graph

GRAPH = small_graph()
INPUTS = [GRAPH.example, tuple(2 * x for x in GRAPH.example)]


class ErrorBackend:
    """A backend that keeps the error of its graphs in a file; counts comparisons and calls."""

    precision = Precision.FP32

    def __init__(self, folder: Path, machine: str = "this one", threads: int = 1) -> None:
        self.options = BuildOptions(threads, folder, machine=machine)
        kept = self.options.cache_path(GRAPH, "fp32.xml")
        assert kept is not None
        self.path = kept
        self.name = "openvino"
        self.compared = self.called = 0

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        error = 0.0
        if options.folder is not None:
            if not self.path.is_file():
                self.path.write_text("0")
            error = float(self.path.read_text())

        def run(tensors: Tensors) -> Tensors:
            self.called += 1
            return tuple(x + error for x in GRAPH.module(*tensors))

        return run

    def compare(self, run: Executable) -> Sequence[Tensors]:
        self.compared += 1
        for each in INPUTS:
            for got, expected in zip(run(each), GRAPH.module(*each), strict=True):
                if not torch.allclose(got, expected, atol=0.1):
                    raise ParityError("off")
        return INPUTS

    def build(self) -> Executable:
        return build_verified(self, GRAPH, self.options, self.compare)


def test_a_verified_graph_is_not_compared_again(tmp_path: Path) -> None:
    first, second = ErrorBackend(tmp_path), ErrorBackend(tmp_path)
    first.build()
    run = second.build()
    assert (first.compared, second.compared) == (1, 0)
    assert second.called == 2
    for got, expected in zip(run(INPUTS[0]), GRAPH.module(*INPUTS[0]), strict=True):
        torch.testing.assert_close(got, expected)
    assert first.options.cached_files(GRAPH) == [first.path]


@pytest.mark.parametrize(
    ("other", "backend"),
    [({"machine": "another"}, "openvino"), ({"threads": 2}, "openvino"), ({}, "openvino-bf16")],
)
def test_another_machine_thread_count_or_backend_is_compared(
    tmp_path: Path, other: dict[str, object], backend: str
) -> None:
    ErrorBackend(tmp_path).build()
    shelf = ErrorBackend(tmp_path, **other)  # type: ignore[arg-type]
    shelf.name = backend
    shelf.build()
    assert shelf.compared == 1


def test_a_changed_file_is_compared_and_rebuilt_on_a_mismatch(tmp_path: Path) -> None:
    ErrorBackend(tmp_path).build()
    shelf = ErrorBackend(tmp_path)
    shelf.path.write_text("0.01")  # near enough, and yet another file
    shelf.build()
    assert shelf.compared == 1
    shelf.path.write_text("100")
    shelf.build()
    assert shelf.compared == 3
    assert shelf.path.read_text() == "0"


def test_a_graph_with_other_outputs_than_before_is_compared(tmp_path: Path) -> None:
    """The files are the same; the library computes otherwise."""
    ErrorBackend(tmp_path).build()
    shelf = ErrorBackend(tmp_path)
    run = shelf.prepare(GRAPH, shelf.options)
    calls = [(each, tuple(x + 1 for x in run(each))) for each in INPUTS]
    save_reference(GRAPH, shelf.options, "openvino", calls)
    shelf.build()
    assert shelf.compared == 1
    again = ErrorBackend(tmp_path)
    again.build()
    assert again.compared == 0


def test_a_graph_that_never_matches_is_refused_and_not_recorded(tmp_path: Path) -> None:
    class Wrong(ErrorBackend):
        def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
            super().prepare(graph, options)
            return lambda tensors: tuple(x + 1 for x in GRAPH.module(*tensors))

    with pytest.raises(ParityError):
        Wrong(tmp_path).build()
    assert not list(tmp_path.glob("*.reference.*"))


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff" * 40, b"\x08" + b"\0" * 7 + b"{}      "])
def test_damaged_reference_outputs_are_ignored(tmp_path: Path, damaged: bytes) -> None:
    shelf = ErrorBackend(tmp_path)
    shelf.build()
    (reference,) = tmp_path.glob("*.reference.safetensors")
    reference.write_bytes(damaged)
    assert load_reference(GRAPH, shelf.options, "openvino") == []
    shelf.build()
    assert shelf.compared == 2
    assert len(load_reference(GRAPH, shelf.options, "openvino")) == 2


def test_an_undeletable_wrong_file_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a read-only folder, which root alone could not be shown by permissions."""
    shelf = ErrorBackend(tmp_path)
    shelf.path.write_text("100")
    monkeypatch.setattr(cache, "delete", lambda path: False)
    run = shelf.build()
    for got, expected in zip(run(INPUTS[0]), GRAPH.module(*INPUTS[0]), strict=True):
        torch.testing.assert_close(got, expected)
    assert shelf.path.read_text() == "100"


def test_cached_graphs_and_reference_outputs_are_deleted_together(tmp_path: Path) -> None:
    shelf = ErrorBackend(tmp_path)
    shelf.build()
    assert len(list(tmp_path.iterdir())) == 2
    assert shelf.options.clear_cache(GRAPH)
    assert not list(tmp_path.iterdir())


def test_reference_outputs_need_a_machine_a_folder_and_a_cached_file(tmp_path: Path) -> None:
    calls = [(GRAPH.example, GRAPH.module(*GRAPH.example))]
    for options in (BuildOptions(1, tmp_path), BuildOptions(machine="this one")):
        save_reference(GRAPH, options, "openvino", calls)
        assert load_reference(GRAPH, options, "openvino") == []
    save_reference(GRAPH, BuildOptions(1, tmp_path, machine="this one"), "compile", calls)
    assert not list(tmp_path.iterdir())
