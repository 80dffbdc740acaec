"""Shared options and output of the command lines."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.commands.common import parse_speaker, reporting_events
from tests.support.tiny_bundle import tiny_bundle

_START = """
import gc, sys
from engine.audio.resample import Resampler
from engine.errors import ExportError
from exporters.commands.common import run_cli

def start():
    held = [Resampler(48000, 16000)]
    held.append(held)
    gc.collect()
    gc.freeze()  # as a session does that is prepared
    raise ExportError("no port")

sys.exit(run_cli(start))
"""


def test_libraries_add_nothing_to_the_line_of_a_start_error(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _START], cwd=root, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (2, "error: no port\n")


@pytest.mark.parametrize(
    ("text", "speaker"),
    [("0", 0), ("calm", "calm"), ("2", "2"), ("²", "²"), ("9" * 5000, "9" * 5000)],
)
def test_speakers_by_name_or_number(text: str, speaker: int | str) -> None:
    bundle = tiny_bundle()
    several = replace(bundle.config.gesture, speakers=3)
    config = replace(bundle.config, gesture=several, speakers=("calm", "1", "2"))
    assert parse_speaker(text, replace(bundle, config=config)) == speaker


def test_a_note_is_a_line_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    events = reporting_events()
    events.note("channel 2 of 2 is silent")
    events.note("channel 2 of 2 is silent")
    assert capsys.readouterr().out == "note: channel 2 of 2 is silent\n"
