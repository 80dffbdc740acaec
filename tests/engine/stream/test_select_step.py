"""Selection of steps by name, and of the hop that a live session sustains."""

from pathlib import Path

import numpy as np
import pytest

from engine.bundle.io import Bundle
from engine.errors import ConfigError, MissingBackendError
from engine.generate.step import HopStep
from engine.model.types import Kernel
from engine.motion.pose import concatenate
from engine.stream import build_step
from engine.stream import select_step as module
from engine.stream.select_step import is_sustained, select_live_step, select_step, step_for
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.build_targets import target_of
from tests.support.tiny_bundle import tiny_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_step_is_selected_by_name() -> None:
    bundle = tiny_bundle()
    step = select_step("eager", bundle)
    stream = GestureStream(bundle, step=step)
    stream.feed_audio(babble(0.5))
    assert stream.next_chunk() is not None


def test_cached_files_go_to_the_given_folder(tmp_path: Path) -> None:
    lines = list[str]()
    select_step("auto", tiny_bundle(), cache_dir=tmp_path / "own", log=lines.append)
    assert list((tmp_path / "own").rglob("auto_*.json"))
    assert any(line.startswith("kernel auto: ") for line in lines)


def rotations_of(step: HopStep | None, bundle: Bundle | None = None) -> np.ndarray:
    bundle = bundle or tiny_bundle()
    stream = GestureStream(bundle, step=step)
    stream.feed_audio(babble(1.0))
    return concatenate(stream.flush()).rotations


def test_a_missing_library_falls_back_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Kernel:
        raise MissingBackendError("get it by pip install x")

    monkeypatch.setattr("engine.stream.build_step.make_kernel", missing)
    monkeypatch.setattr(build_step, "fused_step", missing)
    bundle = tiny_bundle()
    for name in ("onnx", "openvino"):
        lines = list[str]()
        step = step_for(name, target_of(bundle, log=lines.append))
        assert step.name == "eager"
        assert lines == ["note: get it by pip install x; running eager"]


def test_auto_selects_an_accurate_step() -> None:
    bundle, lines = tiny_bundle(), list[str]()
    step = step_for("auto", target_of(bundle, log=lines.append))
    assert any(line.startswith("kernel auto: ") for line in lines)
    np.testing.assert_allclose(rotations_of(step), rotations_of(None), atol=1e-3)


@pytest.mark.parametrize(
    ("cost_ms", "threads", "cores", "sustained"),
    [
        (5.0, 1, 2, True),
        (16.0, 1, 2, True),
        (17.0, 1, 2, False),  # more than half a frame
        (16.0, 2, 2, True),
        (16.0, 4, 2, False),  # leaves no core
        (16.0, 1, 1, True),
        (17.0, 1, 1, False),
    ],
)
def test_a_sustained_hop_leaves_a_core_free(
    cost_ms: float, threads: int, cores: int, sustained: bool
) -> None:
    assert is_sustained(cost_ms / 1000, threads, 30, cores) is sustained


@pytest.mark.parametrize(
    ("cost_s", "requested", "hop"), [(0.001, None, 1), (1.0, None, 2), (1.0, 1, 1), (0.001, 3, 3)]
)
def test_the_hop_is_chosen_by_cost_unless_given(
    monkeypatch: pytest.MonkeyPatch, cost_s: float, requested: int | None, hop: int
) -> None:
    monkeypatch.setattr(module, "hop_s", lambda *_: cost_s)
    bundle, lines = tiny_bundle(), list[str]()
    assert bundle.config.schedule.hop == 2
    step, schedule = select_live_step("eager", target_of(bundle, log=lines.append), requested, None)
    assert schedule.hop == hop
    assert step.name == "eager"
    line = f"hop {hop}: one frame is computed in {cost_s * 1000:.1f} of 33.3 ms"
    assert lines == ([] if requested else [line])


def test_a_large_network_keeps_its_hop_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_small", lambda network: False)
    monkeypatch.setattr(module, "hop_s", lambda *_: 0.0)
    assert select_live_step("eager", target_of(), None, None)[1].hop == 2


def test_a_hop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="window"):
        select_live_step("eager", target_of(), 1000, None)
