"""Bundles at several hops on tiny takes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.metrics.gesture_features import GestureEncoder
from bench.quality.streaming import (
    StreamingResult,
    held_out,
    live_row,
    lookahead_numbers,
    main,
    measured,
    pair,
    rendered,
    table,
    truth_rows,
)
from engine.bundle.io import save_bundle
from engine.errors import ConfigError
from tests.support.tiny_bundle import tiny_bundle
from tests.support.training_fixtures import tone_take
from training.composer.compose import save_take
from training.data.takes import TakeFile


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name, seed in (("test_000", 0), ("test_001", 1), ("test_002", 2), ("train_000", 3)):
        save_take(folder / f"{name}.npz", tone_take(name.split("_")[0], seed, 6.0))
    return folder


@pytest.fixture(scope="module")
def takes(corpus: Path) -> list[tuple[str, TakeFile]]:
    return held_out(corpus, 60.0)


def test_takes_are_held_out_and_spoken(corpus: Path, tmp_path: Path) -> None:
    assert [name for name, _ in held_out(corpus, 60.0)] == ["test_001", "test_002"]
    assert [name for name, _ in held_out(corpus, 3.0)] == ["test_001"]
    with pytest.raises(ConfigError, match="found none"):
        held_out(tmp_path, 60.0)


@pytest.mark.librosa
def test_a_bundle_is_evaluated_live(takes: list[tuple[str, TakeFile]]) -> None:
    bundle = tiny_bundle()
    row = live_row(bundle, takes, 4, GestureEncoder().eval())
    assert (row.name, row.hop, row.seed) == ("tiny", 4, bundle.config.schedule.seed)
    motion = rendered(bundle, bundle.config.schedule.with_hop(4, 0), takes[0][1], 0)
    made = pair("x", motion, takes[0][1])
    assert len(made.made) == len(made.true) == 180
    assert row.numbers["seam_ratio"] is not None
    assert row.numbers["fgd"] is not None
    assert row.numbers["fgd"] > 0
    assert set(lookahead_numbers(bundle, takes[0][1], 4)) <= set(row.numbers)
    # Decoders are causal, but the network uses look-ahead.
    assert row.numbers["edge_latents"] is not None
    assert row.numbers["edge_latents"] > 0
    # At hop 1 every frame is a seam.
    assert measured([made], 1, None).pred.get("seam_ratio") is None


@pytest.mark.librosa
def test_the_first_rows_are_the_truth(takes: list[tuple[str, TakeFile]]) -> None:
    bundle = tiny_bundle()
    encoder = GestureEncoder().eval()
    truth, through = truth_rows(bundle, takes, encoder)
    assert truth.numbers["fgd"] != through.numbers["fgd"]
    speeds = [row.numbers["wrist_speed_m_s"] for row in (truth, through)]
    assert speeds[0] != speeds[1]
    without = replace(bundle, config=replace(bundle.config, include_encoders=False))
    assert len(truth_rows(without, takes, encoder)) == 1


def test_the_table_has_a_line_per_row_and_dashes_for_missing_numbers() -> None:
    rows = [
        StreamingResult("truth", 0, 0, {"fgd": 0.5}),
        StreamingResult("a", 2, 16, {"fgd": 1.25, "seam_ratio": None}),
    ]
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| truth | - | - | 0.500 | - |")
    assert lines[3].startswith("| a | 2 | 16 | 1.250 | - |")
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.librosa
def test_the_command_ends_in_json(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(tiny_bundle(), tmp_path / "m")
    arguments = ["--models", str(tmp_path / "m"), "--corpus", str(corpus), "--hop", "2", "6"]
    main([*arguments, "--seconds", "3"])
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["hop"] for row in rows] == [0, 0, 2, 6]
    assert all(np.isfinite(row["numbers"]["jerk_m_s3"]) for row in rows)
