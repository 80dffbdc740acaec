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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for k, name in enumerate(("a.wav", "b.flac", "c.wav")):
        soundfile.write(sounds / name, babble(0.5 + 0.2 * k, seed=k), 16000)
    (sounds / "notes.txt").write_text("not sound")
    return sounds


def test_a_folder_is_rendered_and_gone_on_with(model: Path, folder: Path, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    command = [str(folder), "-o", str(out), "--model", str(model)]
    assert render.main(command) == 0
    assert "3/3" in capsys.readouterr().out
    assert {p.name for p in out.glob("*.npz")} == {"a.npz", "b.npz", "c.npz"}
    before = (out / "a.npz").stat().st_mtime_ns
    (out / "b.npz").unlink()
    assert render.main(command) == 0
    printed = capsys.readouterr().out
    assert "2 of 3 files are there already" in printed
    assert "1/1" in printed
    assert (out / "a.npz").stat().st_mtime_ns == before
    assert render.main([*command, "--overwrite"]) == 0
    assert (out / "a.npz").stat().st_mtime_ns != before


def test_one_bad_file_does_not_stop_the_others(model: Path, folder: Path, tmp_path, capsys) -> None:
    (folder / "b.flac").write_bytes(b"nothing")
    out = tmp_path / "out"
    assert render.main([str(folder), "-o", str(out), "--model", str(model)]) == 2
    assert {p.name for p in out.glob("*.npz")} == {"a.npz", "c.npz"}
    assert "1 of 3 files could not be rendered: b.flac" in capsys.readouterr().err


def test_words_of_a_folder_belong_to_their_sounds(model: Path, folder: Path, tmp_path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    (words / "a.tsv").write_text("0.1 0.4 hello\n")
    common = ["--model", str(model)]
    assert (
        render.main([str(folder), "-o", str(tmp_path / "x"), "--words", str(words), *common]) == 0
    )
    one = tmp_path / "one.npz"
    command = [str(folder / "a.wav"), "-o", str(one), "--words", str(words / "a.tsv"), *common]
    assert render.main(command) == 0
    assert one.read_bytes() == (tmp_path / "x" / "a.npz").read_bytes()


def test_a_folder_of_other_settings_is_not_mixed(
    model: Path, folder: Path, tmp_path, capsys
) -> None:
    command = [str(folder), "-o", str(tmp_path / "out"), "--model", str(model)]
    assert render.main(command) == 0
    assert render.main([*command, "--seed", "1"]) == 2
    assert "choose another folder, or --overwrite" in capsys.readouterr().err


def test_folders_that_cannot_be_rendered(model: Path, folder: Path, tmp_path, capsys) -> None:
    out = ["-o", str(tmp_path / "out"), "--model", str(model)]
    (tmp_path / "empty").mkdir()
    assert render.main([str(tmp_path / "empty"), *out]) == 2
    assert "no sound files" in capsys.readouterr().err
    soundfile.write(folder / "a.flac", babble(0.5), 16000)
    assert render.main([str(folder), *out]) == 2
    assert "two of the files are called a" in capsys.readouterr().err
    (folder / "a.flac").unlink()
    assert render.main([str(folder), *out, "--words", str(folder / "notes.txt")]) == 2
    assert "need a folder of words" in capsys.readouterr().err
    assert render.main([str(folder), "-o", "x.npz", "--model", str(model)]) == 2
    assert "several files need a folder to go to" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert render.main([str(folder), "-o", str(tmp_path / "file"), *out[2:]]) == 2
    assert "cannot be used as a folder" in capsys.readouterr().err
