"""Selection of the sound files of a folder, and the note about the others."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from exporters.commands.sounds import find_sounds


def write(path: Path, form: str) -> None:
    soundfile.write(path, np.zeros(1600, np.float32), 16000, format=form)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("a.wav", "WAV"), ("a.WAV", "WAV"), ("a.aif", "AIFF"), ("a.au", "AU"), ("a.w64", "W64")),
        *(("a.oga", "OGG"), ("a.caf", "CAF"), ("a.mp3", "MP3"), ("a.rf64", "RF64")),
        *(("a.sound", "FLAC"), ("a", "WAV"), ("a.1", "OGG")),
    ],
)
def test_a_sound_is_taken_whatever_its_suffix(tmp_path: Path, name: str, form: str) -> None:
    write(tmp_path / name, form)
    found = find_sounds([tmp_path])
    assert found.sounds == (tmp_path / name,)
    assert found.note() is None


def test_files_left_out_are_named_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", "WAV")
    write(tmp_path / ".hidden.wav", "WAV")
    (tmp_path / "inside").mkdir()
    (tmp_path / "film.xyz").write_bytes(b"nothing that sounds")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for quiet in ("a.TextGrid", "notes.txt", "a.json", ".DS_Store"):
        (tmp_path / quiet).write_text("text")
    found = find_sounds([tmp_path])
    assert found.sounds == (tmp_path / "a.wav",)
    assert found.note() == (
        "left out: 4: .hidden.wav (hidden), film.xyz (not a sound), gone (a link to nothing), "
        "inside (a folder)"
    )


@pytest.mark.posix
def test_a_pipe_is_left_out_whatever_its_suffix(tmp_path: Path) -> None:
    """A pipe without a writer would block all other files."""
    write(tmp_path / "a.wav", "WAV")
    for name in ("b.wav", "c", "d.txt"):
        os.mkfifo(tmp_path / name)
    found = find_sounds([tmp_path])
    assert found.sounds == (tmp_path / "a.wav",)
    assert found.note() == "left out: 3: b.wav (not a file), c (not a file), d.txt (not a file)"


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", "WAV")
    for k in range(20):
        (tmp_path / f"{k:02d}.xyz").write_bytes(b"nothing")
    note = find_sounds([tmp_path]).note()
    assert note is not None
    assert note.startswith("left out: 20: 00.xyz (not a sound), ")
    assert note.endswith("07.xyz (not a sound) and 12 more")


def test_a_damaged_sound_is_not_left_out(tmp_path: Path) -> None:
    """It becomes a job, so that its error is reported and the status is not 0."""
    for name in ("a.wav", "b.m4a"):
        (tmp_path / name).write_bytes(b"nothing")
    assert [path.name for path in find_sounds([tmp_path]).sounds] == ["a.wav", "b.m4a"]


def test_links_to_sounds_and_files_by_name_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    write(tmp_path / "real.wav", "WAV")
    (folder / "link.wav").symlink_to(tmp_path / "real.wav")
    given = [folder, tmp_path / "real.wav", tmp_path / "missing.wav"]
    assert find_sounds(given).sounds == (folder / "link.wav", *given[1:])


def test_a_folder_without_sounds_is_an_error_alone_and_named_among_others(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (empty / "film.xyz").write_bytes(b"nothing")
    write(full / "a.wav", "WAV")
    with pytest.raises(ConfigError, match=r"no sound files in .*empty.*film\.xyz \(not a sound\)"):
        find_sounds([empty])
    note = find_sounds([empty, full]).note()
    assert note == "left out: 2: film.xyz (not a sound), empty (a folder without sounds)"


def test_two_sounds_of_one_stem_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", "WAV")
    write(tmp_path / "a.flac", "FLAC")
    with pytest.raises(ConfigError, match=r"called a and would become one \(.*a\.flac, .*a\.wav\)"):
        find_sounds([tmp_path])


def test_a_folder_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        find_sounds([_Unreadable(tmp_path)])


class _Unreadable(type(Path())):  # type: ignore[misc]
    """A folder whose entries cannot be read; root could read every real one."""

    def iterdir(self):
        raise PermissionError(13, "Permission denied")
