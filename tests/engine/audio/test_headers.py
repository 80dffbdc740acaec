"""Lengths in audio file headers: correct ones are kept, wrong ones replaced by the real length."""

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


def overwrite(data: bytes, mark: bytes, offset: int, new: bytes) -> bytes:
    start = data.index(mark) + offset
    return data[:start] + new + data[start + len(new) :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "MS_ADPCM", "ULAW"])
@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "W64", "CAF", "AU"])
def test_a_correct_header_is_kept(form: str, subtype: str) -> None:
    if not soundfile.check_format(form, subtype):
        return
    data = written(form, subtype)
    assert repair(io.BytesIO(data), len(data)).patches == {}
    assert note(data) == ""


@pytest.mark.parametrize(
    "trailing",
    [
        b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"id3 " + struct.pack("<I", 10) + bytes(10),
        b"TAG" + b"song".ljust(125, b"\0"),  # neither a chunk nor audio
        bytes(5000),  # padding to a disk block
        b"\1",
    ],
)
def test_trailing_data_is_not_audio(trailing: bytes) -> None:
    assert note(written("WAV") + trailing) == ""


def test_an_empty_file_with_trailing_chunks_stays_empty() -> None:
    head = written("WAV")[:40]
    assert note(head + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO") == ""


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, "does not say how long"),
        (0xFFFFFFFF, "does not say how long"),
        (0x7FFFF000, "does not say how long"),
        (100_000, "it is cut: 32000 bytes of sound for the 100000"),
        (8000, "counts 8000 bytes of sound, there are 32000"),
    ],
)
def test_a_wrong_length_is_replaced(length: int, message: str) -> None:
    right = written("WAV")
    data = overwrite(right, b"data", 4, struct.pack("<I", length))
    found = repair(io.BytesIO(data), len(data))
    assert message in found.note
    assert found.patches[right.index(b"data") + 4] == struct.pack("<I", 32000)


@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "W64", "CAF", "AU"])
def test_any_truncated_file_is_read_without_an_error(form: str) -> None:
    data = written(form)
    for length in [*range(200), 1000]:
        repair(io.BytesIO(data[:length]), length)


def test_other_files_are_ignored() -> None:
    assert note(b"this is a letter") == ""
    assert note(b"") == ""
