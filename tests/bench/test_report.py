"""The pictures in README are made from the live stream."""

from pathlib import Path

import soundfile

from bench.report import draw, render
from tests.models import tiny_bundle
from tests.sounds import babble


def test_every_frame_is_rendered() -> None:
    assert len(render(tiny_bundle(), babble(1.0))) == 30


def test_pictures_are_written(tmp_path: Path) -> None:
    sound = tmp_path / "s.wav"
    soundfile.write(sound, babble(3.0), 16000)
    draw(tiny_bundle(), sound, tmp_path)
    for name in ("contact_sheet.png", "wrist_over_waveform.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
