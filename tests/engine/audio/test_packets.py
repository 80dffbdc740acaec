"""Counts Ogg pages, FLAC streams and MP3 frames, and detects damage."""

import io
import struct

import numpy as np
import pytest
import soundfile

from engine.audio.packets import Contents, flac_contents, mp3_contents, ogg_contents
from tests.support.audio import babble


def written(form: str, subtype: str, seconds: float = 5.0, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, babble(seconds, rate), rate, subtype, format=form)
    return file.getvalue()


OGG = written("OGG", "VORBIS")
MP3 = written("MP3", "MPEG_LAYER_III")


def mp3(data: bytes) -> Contents:
    found = mp3_contents(data)
    assert found is not None
    return found


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_whole_ogg_is_one_part(subtype: str) -> None:
    data = written("OGG", subtype)
    found = ogg_contents(data)
    assert [(part.start, part.end) for part in found.parts] == [(0, len(data))]
    assert (found.note, found.fault) == ("", "")


def test_concatenated_ogg_streams_are_parts() -> None:
    found = ogg_contents(OGG + OGG)
    size = len(OGG)
    assert [(part.start, part.end) for part in found.parts] == [(0, size), (size, 2 * size)]
    assert (found.note, found.fault) == ("", "")


@pytest.mark.parametrize("trailing", [b"TAG".ljust(128, b"\0"), bytes(5000)])
def test_trailing_data_of_an_ogg_is_not_reported_as_a_cut(trailing: bytes) -> None:
    found = ogg_contents(OGG + trailing)
    assert [(part.start, part.end) for part in found.parts] == [(0, len(OGG))]
    assert (found.note, found.fault) == ("", "")


def test_every_changed_byte_of_an_ogg_is_found() -> None:
    for at in np.random.default_rng(0).integers(0, len(OGG), 50):
        data = bytearray(OGG)
        data[at] ^= 1
        found = ogg_contents(bytes(data))
        assert found.fault or found.note, at
        assert found.parts[-1].end <= at


def test_concatenated_flac_streams_are_parts() -> None:
    data = written("FLAC", "PCM_16")
    size = len(data)
    assert [(p.start, p.end) for p in flac_contents(data).parts] == [(0, size)]
    assert [(p.start, p.end) for p in flac_contents(data * 3).parts] == [
        (0, size),
        (size, 2 * size),
        (2 * size, 3 * size),
    ]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_mp3_frame_count_equals_the_header(rate: int, channels: int) -> None:
    file = io.BytesIO()
    sound = np.stack([babble(5.0, rate)] * channels, 1)
    soundfile.write(file, sound, rate, "MPEG_LAYER_III", format="MP3")
    data = file.getvalue()
    found = mp3(data)
    assert (found.note, found.fault, found.parts[0].prefix) == ("", "", b"")
    assert found.parts[0].patches is None
    bare = data[data.index(data[:2], 50) :]  # without the frame that has the count
    info = max(data.find(b"Xing"), data.find(b"Info"))
    prefix = mp3(bare).parts[0].prefix
    (count,) = struct.unpack(">I", prefix[prefix.index(b"Xing") + 8 :][:4])
    assert count == struct.unpack(">I", data[info + 8 : info + 12])[0]


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (MP3 + b"TAG".ljust(128, b"\0"), ""),
        (b"ID3\4\0\0\0\0\1\0" + bytes(128) + MP3, ""),
        (MP3 + bytes(3000), ""),
        (MP3 + MP3, "joined"),
        (MP3 + b"ID3\4\0\0\0\0\1\0" + bytes(128) + MP3, "joined"),
        (MP3[:-100], "was cut"),
        (MP3[: len(MP3) // 2], "is cut"),
    ],
)
def test_data_around_the_frames_of_an_mp3(data: bytes, note: str) -> None:
    found = mp3(data)
    assert note in found.note
    assert bool(found.note) == bool(note)
    assert found.fault == ""


def test_damage_in_an_mp3_ends_its_part() -> None:
    data = bytearray(MP3)
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\x55" * 3000
    found = mp3(bytes(data))
    assert "no frame follows" in found.fault
    assert middle - 2000 < found.parts[0].end < middle + 600


@pytest.mark.parametrize(
    "data", [b"\xff" * 5000, b"ID3", b"\xff\xfb", b"\xff\xfe" + b"a\0" * 500, b"\xff\xf1" + MP3]
)
def test_other_data_is_not_mp3(data: bytes) -> None:
    assert mp3_contents(data) is None
