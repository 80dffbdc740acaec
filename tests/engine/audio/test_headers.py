"""Lengths in headers: right ones are left alone, wrong ones are replaced by what is there."""

import io
import struct

import numpy as np
import pytest
import soundfile

from engine.audio.headers import repair

SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)


def written(form: str, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SOUND, 16000, subtype, format=form)
    return file.getvalue()


def note(data: bytes) -> str:
    return repair(io.BytesIO(data), len(data)).note


def at(data: bytes, mark: bytes, offset: int, new: bytes) -> bytes:
    place = data.index(mark) + offset
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "MS_ADPCM", "ULAW"])
@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "W64", "CAF", "AU"])
def test_a_right_header_is_left_alone(form: str, subtype: str) -> None:
    if not soundfile.check_format(form, subtype):
        return
    data = written(form, subtype)
    assert repair(io.BytesIO(data), len(data)).patches == {}
    assert note(data) == ""


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"id3 " + struct.pack("<I", 10) + bytes(10),
        b"TAG" + b"song".ljust(125, b"\0"),  # no chunk, but no sound either
        bytes(5000),  # padding up to a block of the disk
        b"\1",
    ],
)
def test_what_follows_the_sound_is_not_sound(behind: bytes) -> None:
    assert note(written("WAV") + behind) == ""


def test_an_empty_file_with_chunks_behind_stays_empty() -> None:
    head = written("WAV")[:40]
    assert note(head + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO") == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (0, "does not say how long"),
        (0xFFFFFFFF, "does not say how long"),
        (0x7FFFF000, "does not say how long"),
        (100_000, "it is cut: 32000 bytes of sound for the 100000"),
        (8000, "counts 8000 bytes of sound, there are 32000"),
    ],
)
def test_a_wrong_length_is_replaced(said: int, words: str) -> None:
    right = written("WAV")
    data = at(right, b"data", 4, struct.pack("<I", said))
    found = repair(io.BytesIO(data), len(data))
    assert words in found.note
    assert found.patches[right.index(b"data") + 4] == struct.pack("<I", 32000)


@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "W64", "CAF", "AU"])
def test_any_beginning_of_a_file_is_looked_at_without_an_error(form: str) -> None:
    data = written(form)
    for length in [*range(200), 1000]:
        repair(io.BytesIO(data[:length]), length)


def test_other_files_are_left_alone() -> None:
    assert note(b"this is a letter") == ""
    assert note(b"") == ""
