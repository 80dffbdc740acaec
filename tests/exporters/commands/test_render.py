"""emage-render: the same poses as the live command, whole files, clear errors."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.bundle import save_bundle
from exporters.commands import live, render
from tests.models import tiny_bundle
from tests.sounds import babble


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle")
    save_bundle(tiny_bundle(), directory)
    return directory


def test_rendering_is_the_live_stream_fed_fast(model: Path, tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    words = tmp_path / "words.tsv"
    soundfile.write(speech, babble(1.5), 16000)
    words.write_text("0.2 0.6 hello\n")
    common = ["--model", str(model), "--words", str(words)]
    rendered, streamed = tmp_path / "a.npz", tmp_path / "b.npz"
    assert render.main([str(speech), "-o", str(rendered), *common]) == 0
    streaming = ["--wav", str(speech), "--out", str(streamed), "--speed", "max"]
    assert live.main([*streaming, *common]) == 0
    assert rendered.read_bytes() == streamed.read_bytes()
    assert np.load(rendered)["poses"].shape == (45, 165)


def test_the_published_schedule_renders_every_frame(model: Path, tmp_path: Path, capsys) -> None:
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, babble(3.0), 16000)
    out = tmp_path / "a.npz"
    status = render.main(
        [str(speech), "-o", str(out), "--model", str(model), "--schedule", "offline"]
    )
    assert status == 0
    assert len(np.load(out)["poses"]) == 90


def test_a_missing_file_is_one_line(model: Path, tmp_path: Path, capsys) -> None:
    assert render.main([str(tmp_path / "no.wav"), "-o", "x.npz", "--model", str(model)]) == 2
    assert "no audio file" in capsys.readouterr().err
