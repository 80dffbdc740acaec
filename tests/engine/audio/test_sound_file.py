"""Audio files of all formats: complete, truncated, damaged, without a length, through a pipe."""

import os
import struct
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.sound_file import WavSource
from engine.errors import AudioError
from engine.events import BAD_SAMPLE, EventCounter
from tests.support.audio import babble, joined, sine


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "channels", "tolerance"),
    [
        ("wav", "PCM_16", 16000, 1, 1e-4),
        ("wav", "PCM_U8", 16000, 1, 1e-2),
        ("wav", "PCM_24", 48000, 2, 2e-3),
        ("wav", "FLOAT", 96000, 2, 2e-3),
        ("flac", "PCM_16", 44100, 1, 2e-3),
        ("ogg", "VORBIS", 22050, 1, 5e-2),
    ],
)
def test_every_format_is_read_and_resampled(
    tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int, tolerance: float
) -> None:
    path = tmp_path / f"sound.{suffix}"
    sound = sine(440, 1.0, rate)
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate, subtype=subtype)
    source = WavSource(path)
    assert source.duration_s == pytest.approx(1.0)
    blocks = list(source.blocks())
    assert all(len(block.samples) == 160 and np.isnan(block.captured_at) for block in blocks)
    samples = np.concatenate([block.samples for block in blocks])
    assert len(samples) == 16000
    np.testing.assert_allclose(samples[800:-800], sine(440, 1.0, 16000)[800:-800], atol=tolerance)


def test_stereo_is_downmixed(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    left, right = babble(0.2), babble(0.2, seed=1)
    soundfile.write(path, np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(joined(WavSource(path)), (left + right) / 2, atol=1e-6)


def test_samples_do_not_depend_on_the_block_size(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, babble(0.5, 44100), 44100)
    expected = joined(WavSource(path))
    for size in (1, 533, 100_000):
        source = WavSource(path, block=size)
        assert max(len(block.samples) for block in source.blocks()) == min(size, len(expected))
        np.testing.assert_array_equal(joined(source), expected)


def test_non_finite_samples_in_a_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    sound = np.zeros(1000, np.float32)
    sound[3:5] = np.nan
    soundfile.write(path, sound, 16000, subtype="FLOAT")
    events = EventCounter()
    assert not joined(WavSource(path, events=events)).any()
    assert events.snapshot()[BAD_SAMPLE] == 2
    assert "NaN" in events.notes[0]


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("this is a letter, not a sound\n" * 20)


def write_no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16000)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no audio file at"),
        (Path.mkdir, "no audio file at"),
        (write_empty, "0 bytes"),
        (write_text, "not audio that can be read"),
        (write_no_samples, "holds no sound"),
    ],
)
def test_files_without_audio_are_refused_when_opened(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "speech.wav"
    write(path)
    with pytest.raises(AudioError, match=message):
        WavSource(path)


def test_close_ends_the_blocks(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, babble(1.0), 16000)
    source = WavSource(path)
    blocks = source.blocks()
    next(blocks)
    source.close()
    source.close()
    assert list(blocks) == []


def test_a_long_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16000 * 300, np.int16), 16000)
    tracemalloc.start()
    try:
        for _ in WavSource(path, block=1600).blocks():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # the whole file takes 19 MB


# --- wrong or missing lengths in headers


def read_with_notes(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    events = EventCounter()
    return joined(WavSource(path, events=events)), events.notes


def patch_bytes(path: Path, patches: dict[bytes, list[tuple[int, bytes]]]) -> None:
    """Overwrite bytes of a file; keys are marks, values offsets from the mark and new bytes."""
    data = bytearray(path.read_bytes())
    for mark, edits in patches.items():
        at = data.index(mark)
        for offset, new in edits:
            data[at + offset : at + offset + len(new)] = new
    path.write_bytes(bytes(data))


ZERO, MAXIMUM = bytes(4), b"\xff" * 4


@pytest.mark.parametrize(
    ("suffix", "form", "patches"),
    [
        ("wav", None, {b"RIFF": [(4, ZERO)], b"data": [(4, ZERO)]}),
        ("wav", None, {b"RIFF": [(4, MAXIMUM)], b"data": [(4, MAXIMUM)]}),
        ("wav", None, {b"data": [(4, struct.pack("<I", 400))]}),
        (
            "aiff",
            None,
            {b"FORM": [(4, ZERO)], b"COMM": [(10, ZERO)], b"SSND": [(4, ZERO)]},
        ),
        ("au", None, {b".snd": [(8, ZERO)]}),
        ("au", None, {b".snd": [(8, MAXIMUM)]}),
        ("w64", None, {b"riff": [(16, bytes(8))], b"data": [(16, bytes(8))]}),
        ("caf", None, {b"data": [(4, b"\xff" * 8)]}),
        ("wav", "RF64", {b"ds64": [(8, bytes(24))], b"data": [(4, MAXIMUM)]}),
    ],
)
def test_a_length_missing_in_the_header_is_found(
    tmp_path: Path, suffix: str, form: str | None, patches: dict[bytes, list[tuple[int, bytes]]]
) -> None:
    path = tmp_path / f"pipe.{suffix}"
    sound = sine(440, 1.0, 16000)
    soundfile.write(path, sound, 16000, "PCM_16", format=form)
    whole, notes = read_with_notes(path)
    assert len(whole) == 16000
    assert notes == ()
    patch_bytes(path, patches)
    found, notes = read_with_notes(path)
    np.testing.assert_array_equal(found[:16000], whole)
    assert len(found) - 16000 < 20  # a trailing chunk is indistinguishable from audio
    assert len(notes) == 1
    assert "header" in notes[0]


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "w64", "caf"])
def test_a_truncated_file_is_read_to_its_end_and_noted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, sine(440, 1.0, 16000), 16000, "PCM_16")
    whole, _ = read_with_notes(path)
    path.write_bytes(path.read_bytes()[:20001])
    found, notes = read_with_notes(path)
    assert 7900 < len(found) <= 10000
    np.testing.assert_array_equal(found, whole[: len(found)])
    assert "cut" in notes[0]


def write_unsized_flac(path: Path, sound: np.ndarray) -> None:
    """Write a FLAC as an encoder does into a pipe: number of samples and checksum are 0."""
    soundfile.write(path, sound, 16000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:42] = bytes(20)
    path.write_bytes(bytes(data))


def test_a_flac_of_unknown_length_is_read_completely(tmp_path: Path) -> None:
    path = tmp_path / "pipe.flac"
    sound = babble(3.0)
    write_unsized_flac(path, sound)
    found, notes = read_with_notes(path)
    np.testing.assert_allclose(found, sound, atol=1e-4)
    assert len(found) == 48000
    assert notes == ()
    assert np.isnan(WavSource(path).duration_s)


# --- damage


def read_until_damage(path: Path) -> tuple[np.ndarray, str]:
    """The samples before the damage, and the message of the error raised there."""
    found: list[np.ndarray] = []
    with pytest.raises(AudioError) as raised:
        found.extend(block.samples for block in WavSource(path).blocks())
    return np.concatenate([np.zeros(0, np.float32), *found]), str(raised.value)


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_flac_is_read_up_to_the_damage_then_raises(tmp_path: Path, known: bool) -> None:
    path = tmp_path / "damaged.flac"
    sound = babble(3.0)
    soundfile.write(path, sound, 16000) if known else write_unsized_flac(path, sound)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = b"\xff" * 6000
    path.write_bytes(bytes(data))
    before, reason = read_until_damage(path)
    assert 16000 < len(before) < 32000
    assert f"damaged.flac is damaged {len(before) / 16000:.2f} s after" in reason
    np.testing.assert_allclose(before, sound[: len(before)], atol=1e-4)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_flac_cut_between_two_frames_is_noted(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "cut.flac"
    sound = babble(3.0)
    soundfile.write(path, sound, 16000)
    data = path.read_bytes()
    frames = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xf8"]
    path.write_bytes(data[: frames[-lost]])
    found, notes = read_with_notes(path)
    assert 0 < len(found) < 48000
    np.testing.assert_allclose(found, sound[: len(found)], atol=1e-4)
    assert "s of the 3.00 s that its header promises" in notes[0]


@pytest.mark.parametrize("known", [True, False])
def test_a_tag_after_a_flac_is_not_damage(tmp_path: Path, known: bool) -> None:
    path = tmp_path / "tagged.flac"
    sound = babble(3.0)
    soundfile.write(path, sound, 16000) if known else write_unsized_flac(path, sound)
    path.write_bytes(path.read_bytes() + b"TAG".ljust(128, b"\0"))
    found, notes = read_with_notes(path)
    np.testing.assert_allclose(found, sound, atol=1e-4)
    assert len(found) == 48000
    assert notes == ()


def test_padding_after_a_flac_of_known_length_is_not_damage(tmp_path: Path) -> None:
    path = tmp_path / "padded.flac"
    soundfile.write(path, babble(3.0), 16000)
    path.write_bytes(path.read_bytes() + bytes(5000))
    found, notes = read_with_notes(path)
    assert len(found) == 48000
    assert notes == ()


def test_a_flac_with_only_a_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.flac"
    soundfile.write(path, babble(3.0), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\xff\xf8")])
    before, reason = read_until_damage(path)
    assert len(before) == 0
    assert "header.flac holds no sound (0 samples: only its header is there)" in reason


def test_an_ogg_cut_before_its_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.ogg"
    soundfile.write(path, babble(1.0), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"OggS", data.index(b"OggS", 1) + 1)])  # two headers
    with pytest.raises(AudioError, match=r"0 samples: it ends without an end mark, so it was cut"):
        WavSource(path)


def test_a_damaged_ogg_page_ends_the_audio(tmp_path: Path) -> None:
    path = tmp_path / "damaged.ogg"
    soundfile.write(path, babble(20.0), 16000)
    whole, notes = read_with_notes(path)
    assert notes == ()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    before, reason = read_until_damage(path)
    assert "a page of it is damaged at byte" in reason
    assert 4 * 16000 < len(before) < 12 * 16000
    np.testing.assert_allclose(before, whole[: len(before)], atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "form"), [("ogg", "VORBIS"), ("opus", "OPUS"), ("mp3", "MPEG_LAYER_III")]
)
def test_a_cut_stream_is_noted(tmp_path: Path, suffix: str, form: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, babble(20.0), 16000, form, format="MP3" if suffix == "mp3" else "OGG")
    whole, notes = read_with_notes(path)
    assert len(whole) == pytest.approx(20 * 16000, abs=1200)
    assert notes == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found, notes = read_with_notes(path)
    assert 8 * 16000 < len(found) < 16 * 16000
    np.testing.assert_allclose(found[:100_000], whole[:100_000], atol=1e-5)
    assert "cut" in notes[0]


# --- MP3


def write_uncounted_mp3(path: Path) -> bytes:
    """Write an MP3 of 23 s without a frame count whose bit rate falls; return it with its count."""
    loud = np.random.default_rng(0).uniform(-1, 1, 3 * 16000)
    sound = np.concatenate([loud, sine(440, 20.0, 16000)])
    with soundfile.SoundFile(
        path, "w", 16000, 1, "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.1
    ) as file:
        file.write(sound)
    data = path.read_bytes()
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    path.write_bytes(data[data.index(data[:2], 100) :])
    return data


def test_an_mp3_without_a_frame_count_is_read_completely(tmp_path: Path) -> None:
    path = tmp_path / "streamed.mp3"
    write_uncounted_mp3(path)
    found, notes = read_with_notes(path)
    assert len(found) == pytest.approx(23 * 16000, abs=2400)
    assert notes == ()
    assert WavSource(path).duration_s == pytest.approx(23, abs=0.15)


def test_concatenated_mp3_files_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "joined.mp3"
    soundfile.write(path, babble(3.0), 16000)
    path.write_bytes(path.read_bytes() * 2)
    found, notes = read_with_notes(path)
    assert len(found) == pytest.approx(6 * 16000, abs=2400)
    assert "several files joined" in notes[0]


@pytest.mark.parametrize("suffix", ["ogg", "flac"])
def test_concatenated_streams_are_all_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"joined.{suffix}"
    soundfile.write(path, babble(3.0), 16000)
    once, _ = read_with_notes(path)
    path.write_bytes(path.read_bytes() * 2)
    twice, notes = read_with_notes(path)
    np.testing.assert_array_equal(twice, np.concatenate([once, once]))
    assert notes == ()


def test_a_damaged_mp3_is_read_up_to_the_damage_then_raises(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hole.mp3"
    soundfile.write(path, babble(10.0), 16000)
    whole, _ = read_with_notes(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = b"\x55" * 4000
    path.write_bytes(bytes(data))
    before, reason = read_until_damage(path)
    assert 4 * 16000 < len(before) < 6 * 16000
    np.testing.assert_allclose(before[:60_000], whole[:60_000], atol=1e-5)
    assert "no frame follows" in reason
    assert capfd.readouterr().err == ""


# --- channels


def test_channels_that_cancel_keep_their_level(tmp_path: Path) -> None:
    path = tmp_path / "antiphase.wav"
    sound = babble(2.0)
    soundfile.write(path, np.stack([sound, -sound], 1), 16000, "FLOAT")
    found, notes = read_with_notes(path)
    np.testing.assert_allclose(np.abs(found), np.abs(sound), atol=1e-6)
    assert "cancel" in notes[0]


# --- pipes, devices and unusual names


@pytest.mark.posix
def test_a_named_pipe_is_read_to_its_end_and_can_be_read_again(tmp_path: Path) -> None:
    wav, pipe = tmp_path / "a.wav", tmp_path / "pipe"
    sound = babble(1.0)
    soundfile.write(wav, sound, 16000, "FLOAT")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(wav.read_bytes()))
    writer.start()
    source = WavSource(pipe)
    writer.join()
    np.testing.assert_array_equal(joined(source), sound)
    np.testing.assert_array_equal(joined(source), sound)


@pytest.mark.posix
def test_a_pipe_without_a_temporary_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    writer = threading.Thread(target=lambda: pipe.open("wb").close())
    writer.start()
    with pytest.raises(AudioError, match=r"is a pipe and could not be kept.*--stdin"):
        WavSource(pipe)
    writer.join()


@pytest.mark.posix
@pytest.mark.parametrize(
    ("name", "message"),
    [("/dev/zero", "a device"), ("/dev", "a folder"), ("a" * 300 + ".wav", "check the path")],
)
def test_the_error_names_what_was_given_instead_of_a_file(name: str, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        WavSource(name)


@pytest.mark.posix
def test_a_file_with_an_undecodable_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"b\xe9te.wav")
    soundfile.write(os.fsencode(path), babble(0.2), 16000, format="WAV")
    assert len(joined(WavSource(path))) == 3200


@pytest.mark.parametrize("rate", [0, 500, 1_000_000])
def test_a_rate_out_of_range_is_refused_when_opened(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(path, babble(0.2), 16000)
    patch_bytes(path, {b"fmt ": [(12, struct.pack("<I", rate))]})
    with pytest.raises(AudioError, match=r"rate\.wav"):
        WavSource(path)


@pytest.mark.parametrize("rate", [4000, 384_000])
def test_extreme_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(path, sine(440, 0.5, rate), rate)
    found, notes = read_with_notes(path)
    assert len(found) == 8000
    assert np.abs(found[1000:-1000]).max() == pytest.approx(0.5, abs=0.01)
    assert notes == ()


def test_a_file_of_a_few_samples_is_read(tmp_path: Path) -> None:
    path = tmp_path / "few.wav"
    soundfile.write(path, np.full(3, 0.5), 16000, "FLOAT")
    assert joined(WavSource(path)).tolist() == [0.5, 0.5, 0.5]
