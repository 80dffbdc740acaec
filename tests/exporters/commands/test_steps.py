"""Hops as one graph for the kernels that record, in pieces for all others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle import Bundle
from engine.config import FrontEnd
from engine.errors import KernelError
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Graph, Precision, Run, Settings
from engine.pose import concatenate
from engine.stream import GestureStream
from exporters.commands import steps
from exporters.commands.kernels import spared
from exporters.commands.steps import Networks, in_rows, ready_networks, real_hops
from tests.engine.test_step_graph import Plain, Taped
from tests.models import tiny_bundle, tiny_published_bundle
from tests.sounds import babble


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Refusing(Plain):
    """Makes the graph of a window, and refuses all that is larger."""

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        if graph.name.startswith("step"):
            raise KernelError("cudagraph cannot record step: not permitted")
        return super().prepare(graph, settings)


def ready(monkeypatch: pytest.MonkeyPatch, backend: Plain | Taped) -> tuple[Networks, list[str]]:
    """What `--kernel cudagraph` gives where its backend is another one."""
    backend.name = "cudagraph"
    for module in ("engine.kernels.registry", "exporters.commands.kernels", steps.__name__):
        monkeypatch.setattr(f"{module}.backend", lambda name: backend)
    bundle, told = tiny_bundle(), list[str]()
    return ready_networks("cudagraph", bundle, bundle.config.schedule, told.append), told


def moved(networks: Networks | None, bundle: Bundle | None = None) -> np.ndarray:
    bundle = bundle or tiny_bundle()
    stream = GestureStream(bundle) if networks is None else GestureStream(bundle, **networks)
    stream.feed_audio(babble(1.0))
    return concatenate(stream.flush()).rotations


def test_a_kernel_that_records_takes_whole_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, told = ready(monkeypatch, Taped())
    assert networks["step"] is not None
    assert networks["kernel"].name == "cudagraph"
    spare = spared(networks["kernel"], tiny_bundle())
    assert not list(spare.gesture.parameters())
    np.testing.assert_allclose(moved(networks, spare), moved(None), atol=1e-4)
    assert told == []
    with pytest.raises(KernelError, match="cudagraph computes whole hops here"):
        networks["kernel"](real_hops(tiny_bundle(), spare.config.schedule, 1)[0].window)


def test_where_the_whole_is_refused_there_are_two_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = Refusing()
    networks, told = ready(monkeypatch, refusing)
    assert networks["step"] is None
    assert networks["kernel"].name == "cudagraph"
    assert [graph.name for graph in refusing.graphs] == ["window-newest2", "decode-last4"]
    assert told == [
        "note: cudagraph cannot record step: not permitted; hops are computed in pieces"
    ]
    np.testing.assert_allclose(moved(networks), moved(None), atol=1e-4)


def test_a_hop_that_does_not_match_is_said_with_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks, told = ready(
        monkeypatch, Plain(lambda i, x: (x + 1) % 24 if x.dtype == torch.int64 else x)
    )
    assert networks["step"] is None
    assert "codes 0.0% equal" in told[0]


def test_other_kernels_and_whole_files_are_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[str]()
    monkeypatch.setattr(steps, "make_step", lambda *_: made.append("step"))
    bundle, published = tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)
    networks = ready_networks("eager", bundle, bundle.config.schedule, made.append)
    assert networks["step"] is None
    monkeypatch.setattr(steps, "ready_kernel", lambda *_: EagerKernel(published.gesture))
    networks = ready_networks("cudagraph", published, published.config.offline, made.append)
    assert networks["step"] is None
    assert made == []


@pytest.mark.parametrize("before", [None, "cudagraph"])
def test_what_auto_finds_takes_whole_hops_too(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    bundle, found, asked = tiny_bundle(), EagerKernel(tiny_bundle().gesture), list[str]()
    found.name = "cudagraph"
    monkeypatch.setattr(steps, "ready_kernel", lambda name, *_: asked.append(name) or found)
    monkeypatch.setattr(steps, "chosen_before", lambda *_: before)
    monkeypatch.setattr(steps, "backend", lambda name: Plain())
    networks = ready_networks("auto", bundle, bundle.config.schedule, asked.append)
    assert networks["step"] is not None
    assert asked == ([] if before else ["auto"])  # what was chosen before is not made twice


def test_what_auto_chose_before_and_does_not_run_is_chosen_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, eager = tiny_bundle(), EagerKernel(tiny_bundle().gesture)
    monkeypatch.setattr(steps, "chosen_before", lambda *_: "cudagraph")
    monkeypatch.setattr(steps, "backend", lambda name: Refusing())
    monkeypatch.setattr(steps, "ready_kernel", lambda *_: eager)
    networks = ready_networks("auto", bundle, bundle.config.schedule, lambda text: None)
    assert networks["kernel"] is eager


def test_openvino_computes_whole_hops() -> None:
    pytest.importorskip("openvino")
    bundle, told = tiny_bundle(), list[str]()
    networks = ready_networks("openvino", bundle, bundle.config.schedule, told.append)
    assert networks["step"] is not None
    assert told == ["converting step-newest2 for openvino ..."]
    np.testing.assert_allclose(moved(networks), moved(None), atol=1e-3)


def test_real_hops_are_those_of_a_stream() -> None:
    bundle = tiny_bundle()
    hops = real_hops(bundle, bundle.config.schedule, 3)
    assert len(hops) == 3
    assert not torch.equal(hops[0].history, hops[2].history)
    noise = hops[0].noise
    assert noise is not None
    assert noise.shape == (1, 4, 2, 24)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_hops_of_batches_have_other_rows(temperature: float) -> None:
    bundle = tiny_bundle(temperature=temperature)
    hops = real_hops(bundle, bundle.config.schedule, 3)
    batches = in_rows(hops, 2)
    assert len(batches) == 3
    for ours, first, second in zip(batches[2].flat, hops[2].flat, hops[0].flat, strict=True):
        assert torch.equal(ours, torch.cat((first, second)))


def test_half_precision_is_let_in_too(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, told = ready(monkeypatch, Taped(Precision.FP16))
    assert networks["step"] is not None
    assert told == []
