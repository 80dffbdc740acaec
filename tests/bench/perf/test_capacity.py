"""Search, table, and trials in separate processes."""

import argparse
import json
from pathlib import Path

import pytest

from bench.perf import capacity
from bench.perf.capacity import TrialSettings, largest, line, pool_step, read_settings, trial
from bench.perf.load import LoadResult, StreamLoad
from engine.bundle.io import DEMO_SOUND, save_bundle
from engine.errors import ConfigError
from engine.stream import build_step
from engine.stream.pool import StreamPool
from tests.engine.kernels.test_fused_step import CountingBackend
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 8, 13, 30])
@pytest.mark.parametrize("most", [1, 13, 30])
def test_the_search_finds_the_largest(limit: int, most: int) -> None:
    tried: list[int] = []

    def passes(count: int) -> bool:
        tried.append(count)
        return count <= limit

    found = largest(passes, most)
    expected = min(limit, most)
    assert found == expected
    assert len(tried) == len(set(tried)) <= 10
    assert max(tried) <= most


def test_large_numbers_are_found_to_a_few_percent() -> None:
    found = largest(lambda count: count <= 1234, 4096)
    assert 1180 <= found <= 1234


def test_a_line_of_the_table() -> None:
    assert line(LoadResult(4, [10.0, 30.0], cores=0.5).row()).split() == [
        *("4", "20.0", "29.8", "0", "0", "0.50", "0.0")
    ]
    assert line(LoadResult(4, [300.0]).row()).endswith("too many")
    assert "nan" in line(LoadResult(4).row())


def test_the_command_searches_and_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        capacity, "trial", lambda _, count: LoadResult(count, [50.0 if count < 6 else 150.0])
    )
    parser = argparse.ArgumentParser()
    capacity.add_command(parser.add_subparsers())
    assert capacity.capacity_command(parser.parse_args(["capacity", "--hop", "4"])) == 0
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert report["streams"] == 5
    assert report["hop"] == 4
    assert [row["passed"] for row in report["trials"]].count(False) == 2


@pytest.mark.parametrize(
    ("given", "processes", "threads"),
    [
        ([], 6, 1),
        (["--device", "cuda"], 1, 6),
        (["--processes", "2"], 2, 3),
        (["--processes", "12"], 12, 1),
        (["--processes", "1", "--threads", "2"], 1, 2),
    ],
)
def test_cores_are_divided_among_processes(given: list[str], processes: int, threads: int) -> None:
    parser = argparse.ArgumentParser()
    capacity.add_command(parser.add_subparsers())
    settings = read_settings(parser.parse_args(["capacity", *given]), 6)
    assert (settings.processes, settings.threads) == (processes, threads)


@pytest.mark.parametrize("given", ["--processes", "--threads"])
def test_zero_processes_or_threads_are_refused(given: str) -> None:
    parser = argparse.ArgumentParser()
    capacity.add_command(parser.add_subparsers())
    with pytest.raises(ConfigError, match=f"{given} takes a number from 1 on, got 0"):
        read_settings(parser.parse_args(["capacity", given, "0"]), 6)


@pytest.mark.slow
def test_processes_share_the_streams(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path, half=False)
    run = trial(TrialSettings(tmp_path, DEMO_SOUND, None, 0.5, 2, 1), 3)
    assert run.streams == 3
    assert len(run.latency_ms) + run.held > 3 * 10


@pytest.mark.onnx
@pytest.mark.slow
def test_kernels_of_fixed_shapes_serve_a_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = tiny_bundle()
    schedule = bundle.config.schedule
    assert pool_step("eager", bundle, schedule, 3) is None
    pool = StreamPool(bundle, 3, step=pool_step("onnx", bundle, schedule, 3))
    for number in range(3):
        pool.feed_audio(pool.open(seed=number), babble(0.5, seed=number))
    for slots in ([0], [0, 1], [0, 1, 2]):
        assert sorted(pool.step(slots)) == slots


def test_a_kernel_that_records_serves_a_pool_with_whole_hops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = CountingBackend()
    monkeypatch.setattr(build_step, "backend", lambda name: plain)
    bundle = tiny_bundle()
    step = pool_step("cudagraph", bundle, bundle.config.schedule, 2)
    assert [graph.example[0].shape[0] for graph in plain.graphs] == [1, 2]
    load = StreamLoad(bundle, 2, babble(1.0), schedule=bundle.config.schedule, step=step)
    calls = plain.calls
    load.warm_up()
    assert plain.calls > calls
