"""The whole command on a tiny bundle and tones."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.starter import command
from bench.starter.command import renderer
from bench.starter.evaluate import EvaluationLimits, Findings
from engine.bundle.io import save_bundle
from engine.errors import ConfigError
from tests.support.speech import save_clips, voices
from tests.support.tiny_bundle import tiny_bundle


def test_the_command_measures_prints_and_ends_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_parts", voices)
    monkeypatch.setattr(
        command, "QUICK", EvaluationLimits(6.0, 2.0, 2.0, one_voice_s=0.0, rounds=5)
    )
    save_bundle(tiny_bundle(), tmp_path / "bundle")
    save_clips(tmp_path / "real")
    arguments = ["starter", "--model", str(tmp_path / "bundle"), "--clips", str(tmp_path / "real")]
    assert main([*arguments, "--quick"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert any("targets met" in line for line in lines)
    report = json.loads(last)
    numbers = report["numbers"]
    assert {"network", "composer", "real clips"} <= set(numbers)
    assert {"FGD live over offline", "jerk over real clips", "core seconds a second"} <= set(
        numbers["network"]
    )
    assert set(report["holds"].values()) <= {True, False, None}
    assert len(report["held_out_clips"]["classes"]) == 3, "rest, me, negative"
    assert report["parts"] == {"voice 1": 3.0, "voice 2": 3.0}


def test_json_only_and_skipped_metrics_without_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_parts", voices)
    save_bundle(tiny_bundle(), tmp_path)
    assert main(["starter", "--model", str(tmp_path), "--quick", "--json", "--seconds", "4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [*report["numbers"]] == ["network"]
    assert sum(report["parts"].values()) == 4.0
    assert report["holds"]["FGD live over offline"] is None


def test_offline_has_longer_hops_and_unknown_speakers_are_refused() -> None:
    render = renderer(tiny_bundle(), "eager", "")
    parts = voices()[:1]
    live, offline = render(parts), render(parts, offline=True)
    assert len(live[0].motion) == len(offline[0].motion) == 90
    assert (live[0].motion.poses.rotations != offline[0].motion.poses.rotations).any()
    with pytest.raises(ConfigError, match="nobody"):
        renderer(tiny_bundle(), "eager", "nobody")(parts)


def test_an_interrupted_run_prints_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(found: Findings, *_: object) -> None:
        found.columns |= columns
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "read_parts", voices)
    monkeypatch.setattr(command, "measure", broken_off)
    save_bundle(tiny_bundle(), tmp_path)
    columns = {"network": {"skate ratio": 0.01, "BC": float("nan")}}
    assert main(["starter", "--model", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["complete"] is False
    assert report["numbers"]["network"] == {"skate ratio": 0.01, "BC": None}
    columns.clear()
    assert main(["starter", "--model", str(tmp_path)]) != 0
    assert "--quick" in capsys.readouterr().err
