"""Table of late words, for a tiny bundle and tones."""

import json
from pathlib import Path

import pytest

import bench.__main__ as program
from bench.__main__ import main
from bench.quality.late_words import late_table, late_words
from engine.bundle.io import save_bundle
from tests.support.speech import voices
from tests.support.tiny_bundle import tiny_bundle


def test_a_row_for_each_word_timing() -> None:
    rows = late_words(tiny_bundle(), voices()[:1], [0.3, 1.0])
    assert [*rows] == ["no words", "known ahead", "0.3 s late", "1 s late"]
    assert all(numbers["strokes a minute"] >= 0 for numbers in rows.values())
    assert len(late_table(rows).splitlines()) == 5


def test_the_sync_command_evaluates_late_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(speech: Path | None, beat2: Path | None, most: int) -> object:
        asked.append((speech, beat2, most))
        return voices()

    monkeypatch.setattr(program, "read_parts", read)
    save_bundle(tiny_bundle(), tmp_path)
    arguments = ["sync", "--model", str(tmp_path), "--late", "0.3", "--beat2", "takes"]
    assert main([*arguments, "--minutes", "0.05"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert asked == [(None, Path("takes"), 8)]
    assert report["speech_s"] == 3.0
    assert [*report["words"]] == ["no words", "known ahead", "0.3 s late"]


def test_voices_are_synthetic_without_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "synthetic_parts", lambda seconds: voices()[:1])
    save_bundle(tiny_bundle(), tmp_path)
    arguments = ["sync", "--model", str(tmp_path), "--late", "0.3", "--minutes", "0.025"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["speech_s"] == 1.5
