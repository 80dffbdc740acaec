import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.sound_card import VirtualSoundCard
from engine.audio import source as source_module
from engine.audio.source import (
    AudioSource,
    MicSource,
    PcmBlock,
    StdinSource,
    WavSource,
)
from engine.errors import AudioDeviceError, AudioError, ConfigError
from engine.events import BAD_SAMPLE, LOST_DEVICE, OVERRUN, EventCounter
from tests.sounds import babble, in_place, sine


def joined(source: AudioSource) -> np.ndarray:
    return np.concatenate([block.samples for block in source.blocks()])


# --- files


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
def test_files_of_all_kinds(
    tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int, tolerance: float
) -> None:
    path = tmp_path / f"sound.{suffix}"
    sound = sine(440, 1.0, rate)
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate, subtype=subtype)
    source = WavSource(path)
    assert source.duration_s == pytest.approx(1.0)
    blocks = list(source.blocks())
    assert all(len(block.samples) == 160 and np.isnan(block.captured_at) for block in blocks)
    heard = np.concatenate([block.samples for block in blocks])
    assert len(heard) == 16000
    np.testing.assert_allclose(heard[800:-800], sine(440, 1.0, 16000)[800:-800], atol=tolerance)


def test_stereo_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    left, right = babble(0.2), babble(0.2, seed=1)
    soundfile.write(path, np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(joined(WavSource(path)), (left + right) / 2, atol=1e-6)


def test_the_block_size_changes_nothing_but_the_blocks(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, babble(0.5, 44100), 44100)
    expected = joined(WavSource(path))
    for size in (1, 533, 100_000):
        source = WavSource(path, block=size)
        assert max(len(block.samples) for block in source.blocks()) == min(size, len(expected))
        np.testing.assert_array_equal(joined(source), expected)


def test_bad_samples_in_a_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    sound = np.zeros(1000, np.float32)
    sound[3:5] = np.nan
    soundfile.write(path, sound, 16000, subtype="FLOAT")
    events = EventCounter()
    assert not joined(WavSource(path, events=events)).any()
    assert events.snapshot()[BAD_SAMPLE] == 2


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
def test_what_is_no_sound_is_refused_at_once(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "speech.wav"
    write(path)
    with pytest.raises(AudioError, match=message):
        WavSource(path)


def test_closing_ends_a_file_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, babble(1.0), 16000)
    source = WavSource(path)
    blocks = source.blocks()
    next(blocks)
    source.close()
    source.close()
    assert list(blocks) == []


def test_a_long_file_stays_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16000 * 300, np.int16), 16000)
    tracemalloc.start()
    try:
        for _ in WavSource(path, block=1600).blocks():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # the whole of it would be 19 MB


# --- pipes


@pytest.fixture
def pipe() -> Iterator[tuple[StdinSource, int, EventCounter]]:
    read, write = os.pipe()
    events = EventCounter()
    with os.fdopen(read, "rb") as stream:
        yield StdinSource(stream, 16000, events), write, events


def test_bytes_are_given_on_as_they_arrive(pipe: tuple[StdinSource, int, EventCounter]) -> None:
    source, write, events = pipe
    pcm = np.array([1, -2, 32767, -32768], "<i2").tobytes()
    blocks = source.blocks()
    os.write(write, pcm[:3])  # ends in the middle of a sample
    first = next(blocks)
    assert first.samples.tolist() == [1 / 32768]
    os.write(write, pcm[3:])
    second = next(blocks)
    assert second.samples.tolist() == [-2 / 32768, 32767 / 32768, -1.0]
    assert second.captured_at >= first.captured_at > 0
    os.close(write)
    assert list(blocks) == []
    assert events.snapshot()[BAD_SAMPLE] == 0


def test_an_odd_byte_at_the_end_is_counted(pipe: tuple[StdinSource, int, EventCounter]) -> None:
    source, write, events = pipe
    os.write(write, b"\x01\x00\x02")
    os.close(write)
    assert joined(source).tolist() == [1 / 32768]
    assert events.snapshot()[BAD_SAMPLE] == 1


def test_closing_ends_a_waiting_pipe(pipe: tuple[StdinSource, int, EventCounter]) -> None:
    source, write, _ = pipe
    heard: list[PcmBlock] = []
    reader = threading.Thread(target=lambda: heard.extend(source.blocks()))
    reader.start()
    source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()
    assert heard == []
    os.close(write)


def test_another_rate_is_resampled_to_its_end() -> None:
    read, write = os.pipe()
    sound = (sine(440, 0.5, 24000) * 32767).astype("<i2").tobytes()
    with os.fdopen(read, "rb") as stream:
        source = StdinSource(stream, 24000, EventCounter())
        os.write(write, sound)
        os.close(write)
        heard = joined(source)
    assert len(heard) == 8000
    assert in_place(heard, 440)


def test_a_pipe_that_is_none_or_an_impossible_rate(tmp_path: Path) -> None:
    stream = (tmp_path / "x").open("wb+")
    with pytest.raises(ConfigError):
        StdinSource(stream, 7, EventCounter())
    stream.close()
    with pytest.raises(AudioError, match="--stdin"):
        StdinSource(stream, 16000, EventCounter())


# --- microphones


def until(blocks: Iterator[PcmBlock], wanted: Callable[[PcmBlock], bool]) -> PcmBlock:
    """The first block that is as wanted, of at most a minute."""
    heard = 0
    for block in blocks:
        heard += len(block.samples)
        if wanted(block):
            return block
        assert heard < 60 * 16000, "not heard within a minute"
    raise AssertionError("the source ended")


def is_loud(block: PcmBlock) -> bool:
    return float(np.abs(block.samples).max()) > 0.2


@pytest.mark.audio_device
def test_a_microphone_hears_what_is_played(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, sine(440, 2.0, 16000), 16000)
    events = EventCounter()
    source = MicSource(None, events)
    blocks = source.blocks()
    quiet = next(blocks)
    assert not is_loud(quiet)
    player = sound_card.play(path)
    try:
        until(blocks, is_loud)
        heard = np.concatenate([next(blocks).samples for _ in range(40)])
    finally:
        player.terminate()
        player.wait()
        source.close()
    assert list(blocks) == []
    spectrum = np.abs(np.fft.rfft(heard[:8000] * np.hanning(len(heard[:8000]))))
    frequency = spectrum.argmax() * 16000 / len(heard[:8000])
    assert frequency == pytest.approx(440, abs=4)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.05)
    assert set(events.snapshot().values()) == {0}


@pytest.mark.audio_device
def test_capture_times_follow_the_samples(sound_card: VirtualSoundCard) -> None:
    source = MicSource("default", EventCounter())
    blocks = source.blocks()
    for _ in range(30):
        next(blocks)
    times, counts = [], []
    for _ in range(60):
        block = next(blocks)
        times.append(block.captured_at)
        counts.append(len(block.samples))
    source.close()
    list(blocks)
    drift = np.array(times) - times[0] - (np.cumsum(counts) - counts[0]) / 16000
    assert np.abs(drift).max() < 0.02


@pytest.mark.audio_device
def test_a_lost_microphone_is_counted_and_comes_back(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    blocks = source.blocks()
    for _ in range(5):
        next(blocks)
    sound_card.stop()
    back = threading.Timer(1.5, sound_card.start)
    back.start()
    try:
        until(blocks, lambda block: events.snapshot()[LOST_DEVICE] == 1)
    finally:
        back.join()
        source.close()
    assert list(blocks) == []
    assert events.snapshot()[LOST_DEVICE] == 1


@pytest.mark.audio_device
def test_closing_while_the_microphone_is_lost(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    heard = threading.Event()

    def read() -> None:
        for _ in source.blocks():
            heard.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert heard.wait(10)
    sound_card.stop()
    source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()


@pytest.mark.audio_device
def test_a_device_that_never_starts_does_not_hold_the_session(
    sound_card: VirtualSoundCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_STUCK_S", 0.01)
    given_up: list[object] = []
    monkeypatch.setattr(source_module, "give_up", given_up.append)
    source = MicSource(None, EventCounter())
    for_ever = threading.Event()
    source._stream.close()
    source._stream = stuck = type("Stuck", (), {"start": lambda self: for_ever.wait(60)})()
    with pytest.raises(AudioDeviceError, match="did not start within"):
        list(source.blocks())
    for_ever.set()
    assert given_up == [stuck]


@pytest.mark.audio_device
def test_unread_blocks_push_out_the_oldest(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    quiet = np.zeros((441, 1), np.float32)
    times = type("Times", (), {"inputBufferAdcTime": 0.0, "currentTime": 0.0})
    for _ in range(503):
        source._heard(quiet, 441, times, None)
    source.close()
    assert events.snapshot()[OVERRUN] == 3


@pytest.mark.audio_device
def test_an_unknown_microphone(sound_card: VirtualSoundCard) -> None:
    with pytest.raises(AudioDeviceError, match=r"(?s)no microphone 'theremin'.*default"):
        MicSource("theremin", EventCounter())
