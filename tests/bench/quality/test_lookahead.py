import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.__main__ import main
from bench.quality.lookahead import lookahead_report, table
from engine.bundle.io import save_bundle
from engine.config.model import FrontEnd
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle

SOUND = babble(4.0)


def test_causal_decoders_have_no_error_at_the_edge() -> None:
    report = lookahead_report(tiny_bundle(), SOUND, 2)
    assert report.steps == 60
    assert report.decoding_degrees is not None
    assert report.emitted_degrees is not None
    assert report.decoding_degrees["max"] < 0.05
    assert report.emitted_degrees["max"] < 0.05


def test_decoders_with_look_ahead_have_smaller_errors_at_longer_hops() -> None:
    reports = [lookahead_report(tiny_bundle(causal=False), SOUND, hop) for hop in (1, 6)]
    short, long = (report.decoding_degrees for report in reports)
    assert short is not None
    assert long is not None
    assert short["p50"] > long["p50"] > 0


def test_a_network_with_look_ahead_has_errors_without_it() -> None:
    report = lookahead_report(tiny_published_bundle(FrontEnd.WAVE), SOUND, 4)
    assert min(report.latents.values()) > 0
    assert all(0 <= share <= 1 for share in report.codes_changed.values())
    assert len(table([report]).splitlines()) == 2


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bundle(tiny_bundle(), tmp_path / "tiny")
    soundfile.write(tmp_path / "a.wav", np.asarray(SOUND), 16000)
    command = ["lookahead", "--model", str(tmp_path / "tiny"), "--wav", str(tmp_path / "a.wav")]
    assert main([*command, "--seconds", "3", "--hop", "2", "4"]) == 0
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [row["hop"] for row in report["hops"]] == [2, 4]
