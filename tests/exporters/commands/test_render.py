"""emage-render: the same poses as the live command, whole files, clear errors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.source import WavSource
from engine.bundle.io import save_bundle
from exporters.commands import live, render
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle


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
    common = ["--model", str(model), "--words", str(words), "--hop", "2"]
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


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def damaged_flac(path: Path) -> None:
    """A sound file that opens and fails in its middle."""
    soundfile.write(path, babble(4.0), 16000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(bytes(data))


def impossible_rate(path: Path) -> None:
    """A sound file with 100 Hz in its header."""
    soundfile.write(path, babble(0.5), 16000, format="WAV")
    data = bytearray(path.read_bytes())
    data[24:28] = (100).to_bytes(4, "little")
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [damaged_flac, impossible_rate])
def test_a_failed_file_is_tried_again_and_leaves_nothing(
    model: Path, folder: Path, tmp_path: Path, capsys, damage
) -> None:
    damage(folder / "b.flac")
    out = tmp_path / "out"
    command = [str(folder), "-o", str(out), "--model", str(model)]
    for _ in range(2):
        assert render.main(command) == 2
        assert "b.flac" in capsys.readouterr().err
        assert names(out) == {"a.npz", "c.npz", "render.json"}
    soundfile.write(folder / "b.flac", babble(0.5), 16000)
    assert render.main(command) == 0
    assert "1/1" in capsys.readouterr().out
    assert names(out) == {"a.npz", "b.npz", "c.npz", "render.json"}


def test_a_failed_rendering_leaves_the_one_before(model: Path, tmp_path: Path, capsys) -> None:
    speech, out = tmp_path / "a.flac", tmp_path / "a.npz"
    soundfile.write(speech, babble(0.5), 16000)
    command = [str(speech), "-o", str(out), "--model", str(model)]
    assert render.main(command) == 0
    before = out.read_bytes()
    damaged_flac(speech)
    assert render.main(command) == 2
    assert out.read_bytes() == before
    assert names(tmp_path) == {"a.flac", "a.npz"}


def test_a_library_error_of_any_kind_is_the_error_of_its_file(
    model: Path, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_b(path: Path, **options: object) -> WavSource:
        if path.name == "b.flac":
            raise ZeroDivisionError("inside a library")
        return WavSource(path, **options)

    monkeypatch.setattr(render, "WavSource", fail_for_b)
    out = tmp_path / "out"
    assert render.main([str(folder), "-o", str(out), "--model", str(model)]) == 2
    assert names(out) == {"a.npz", "c.npz", "render.json"}
    error = capsys.readouterr().err
    assert "b.flac: unexpected ZeroDivisionError: inside a library" in error


def test_a_sound_that_gives_no_frame_is_an_error(model: Path, tmp_path: Path, capsys) -> None:
    speech, out = tmp_path / "a.wav", tmp_path / "a.npz"
    soundfile.write(speech, babble(1.0)[:100], 16000)
    assert render.main([str(speech), "-o", str(out), "--model", str(model)]) == 2
    assert "too short" in capsys.readouterr().err
    assert not out.exists()


def test_an_unfinished_file_of_another_writer_does_not_count(
    model: Path, folder: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    command = [str(folder), "-o", str(out), "--model", str(model)]
    assert render.main(command) == 0
    whole = (out / "a.npz").read_bytes()
    (out / "a.npz").write_bytes(whole[: len(whole) // 2])
    assert render.main(command) == 0
    assert (out / "a.npz").read_bytes() == whole


@pytest.mark.posix
def test_a_killed_run_leaves_no_target_and_the_next_one_cleans_up(
    model: Path, tmp_path: Path
) -> None:
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    sounds.mkdir()
    soundfile.write(sounds / "a.wav", babble(1.0), 16000)
    soundfile.write(sounds / "b.wav", np.tile(babble(10.0), 60), 16000)
    command = [str(sounds), "-o", str(out), "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-m", "exporters.commands.render", *command],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert next(line for line in process.stdout if line.startswith("1/2"))
    process.kill()
    process.communicate()
    assert {"a.npz", "render.json"} <= names(out)
    assert "b.npz" not in names(out)
    soundfile.write(sounds / "b.wav", babble(0.5), 16000)
    assert render.main(command) == 0
    assert names(out) == {"a.npz", "b.npz", "render.json"}


def test_overwriting_with_other_settings_leaves_no_old_file_as_done(
    model: Path, folder: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    command = [str(folder), "-o", str(out), "--model", str(model)]
    assert render.main(command) == 0
    (folder / "b.flac").write_bytes(b"nothing")
    assert render.main([*command, "--overwrite", "--seed", "1"]) == 2
    assert names(out) == {"a.npz", "c.npz", "render.json"}


@pytest.mark.posix
def test_two_runs_into_one_folder_both_complete(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "exporters.commands.render", str(folder), "-o", str(out)]
    runs = [
        subprocess.Popen([*command, "--model", str(model)], stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    assert names(out) == {"a.npz", "b.npz", "c.npz", "render.json"}
    for name in ("a", "b", "c"):
        assert len(np.load(out / f"{name}.npz")["poses"]) > 0


def test_files_left_out_of_a_folder_are_reported(
    model: Path, folder: Path, tmp_path, capsys
) -> None:
    soundfile.write(folder / "d.w64", babble(0.5), 16000)
    (folder / "film.xyz").write_bytes(b"nothing")
    assert render.main([str(folder), "-o", str(tmp_path / "out"), "--model", str(model)]) == 0
    said = capsys.readouterr().out
    assert "left out: 1: film.xyz (not a sound)" in said
    assert "4/4" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", "x" * 300 + ".npz"), "cannot be used as a path"),
        (("-o", "no/such/folder/x.npz"), "cannot be rendered"),
        (("-o", "x.npz", "--seed", "-1"), "--seed"),
        (("-o", "x.npz", "--seed", "²"), "--seed"),
        (("-o", "x.npz", "--speaker", "²"), "unknown speaker"),
        (("-o", "out", "--speaker", "nobody"), "unknown speaker"),
        (("-o", "out", "--kernel", "warp"), "unknown kernel"),
        ((), "required: -o/--out"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    model: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, options, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", babble(0.5), 16000)
    assert render.main(["a.wav", *options, "--model", str(model)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
