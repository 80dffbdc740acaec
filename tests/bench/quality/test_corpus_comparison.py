"""Table of composed against recorded motion, from files to text."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from bench.quality import corpus_comparison as composed
from bench.quality.corpus_comparison import compare, near, read_corpus, read_std, table
from bench.quality.motion_statistics import Sample
from engine.errors import ConfigError
from engine.text.words import TimedWord
from tests.support.training_fixtures import save_corpus, waving
from training.data.clips import save_clip, write_json


def sample(seed: int) -> Sample:
    return Sample(waving(seed, 150), (TimedWord("one", 0.0, 5.0),))


def test_rows_have_ratios_and_stars() -> None:
    rows = compare([sample(0)], sample(0), np.full(55, 1.0))
    assert {row["ratio"] for row in rows} == {1.0}
    spread = next(row for row in rows if row["name"] == "elbows, rotation spread")
    assert spread["data_set_ratio"] == pytest.approx(spread["composed"])
    assert "*" not in table(rows)
    other = compare([sample(1)], sample(0), None)
    assert any(not near(row) for row in other)
    assert "*" in table(other)


def test_between_two_targets_is_near() -> None:
    assert near({"ratio": 1.5, "data_set_ratio": 0.7})
    assert near({"ratio": 1.19})
    assert not near({"ratio": 1.5, "data_set_ratio": 1.4})


def test_deviations_must_be_330(tmp_path: Path) -> None:
    np.save(tmp_path / "std.npy", np.ones(330))
    assert read_std(tmp_path / "std.npy") == pytest.approx(np.sqrt(6.0))
    np.save(tmp_path / "short.npy", np.ones(12))
    with pytest.raises(ConfigError, match="330"):
        read_std(tmp_path / "short.npy")


@pytest.mark.matplotlib
def test_the_command_reads_a_corpus_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "_STRIP_S", 2)
    folder = tmp_path / "corpus"
    save_corpus(folder)
    entry = {"name": "train_000", "split": "train", "voice": "x", "speaker": "calm"}
    write_json(folder / "corpus.json", {"takes": [entry]})
    save_clip(tmp_path / "real.npz", waving(3, 120), {})
    (tmp_path / "real.tsv").write_text("0.2\t3.5\thello\n")
    strip = tmp_path / "strip.png"
    arguments = ["corpus", "--corpus", str(folder), "--take", str(tmp_path / "real.npz")]
    assert main([*arguments, "--words", str(tmp_path / "real.tsv"), "--strip", str(strip)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last)["takes"] >= 1
    assert strip.stat().st_size > 1000


def test_idle_and_listening_takes_are_left_out(tmp_path: Path) -> None:
    takes = [
        {"name": "train_000", "split": "train", "voice": "silence", "speaker": "lively"},
        {"name": "train_001", "split": "train", "voice": "x", "speaker": "listener"},
    ]
    write_json(tmp_path / "corpus.json", {"takes": takes})
    with pytest.raises(ConfigError, match="with speech"):
        read_corpus(tmp_path, "train", "", 9)
    with pytest.raises(ConfigError, match="stage compose"):
        read_corpus(tmp_path / "nowhere", "train", "", 9)
