import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.perf.sound_card import VirtualSoundCard
from engine.audio import source as source_module
from engine.audio.source import (
    MicSource,
    PcmBlock,
    StdinSource,
)
from engine.errors import AudioDeviceError, AudioError, ConfigError
from engine.events import BAD_SAMPLE, LOST_DEVICE, OVERRUN, EventCounter
from tests.support.audio import is_in_phase, joined, sine

# --- pipes


@pytest.fixture
def pipe() -> Iterator[tuple[StdinSource, int, EventCounter]]:
    read, write = os.pipe()
    events = EventCounter()
    with os.fdopen(read, "rb") as stream:
        yield StdinSource(stream, 16000, events), write, events


def test_bytes_are_passed_on_as_they_arrive(pipe: tuple[StdinSource, int, EventCounter]) -> None:
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
    assert "in the middle of a sample" in events.notes[0]


def test_close_ends_a_blocked_read(pipe: tuple[StdinSource, int, EventCounter]) -> None:
    source, write, _ = pipe
    received: list[PcmBlock] = []
    reader = threading.Thread(target=lambda: received.extend(source.blocks()))
    reader.start()
    source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()
    assert received == []
    os.close(write)


def test_another_rate_is_resampled_completely() -> None:
    read, write = os.pipe()
    sound = (sine(440, 0.5, 24000) * 32767).astype("<i2").tobytes()
    with os.fdopen(read, "rb") as stream:
        source = StdinSource(stream, 24000, EventCounter())
        os.write(write, sound)
        os.close(write)
        samples = joined(source)
    assert len(samples) == 8000
    assert is_in_phase(samples, 440)


def test_regular_files_and_rates_out_of_range_are_refused(tmp_path: Path) -> None:
    stream = (tmp_path / "x").open("wb+")
    with pytest.raises(ConfigError):
        StdinSource(stream, 7, EventCounter())
    stream.close()
    with pytest.raises(AudioError, match="--stdin"):
        StdinSource(stream, 16000, EventCounter())


def test_a_closed_standard_input_is_refused() -> None:
    with pytest.raises(AudioError, match=r"closed or not a pipe.*\| emage-live --stdin"):
        StdinSource(None, 16000, EventCounter())


@pytest.mark.posix
def test_a_terminal_as_standard_input_is_refused() -> None:
    controller, terminal = os.openpty()
    stream = os.fdopen(terminal, "rb", buffering=0)
    with stream, pytest.raises(AudioError, match="is a terminal"):
        StdinSource(stream, 16000, EventCounter())
    os.close(controller)


@pytest.mark.parametrize("data", [b"", b"\1"])
def test_a_pipe_without_audio_is_refused(
    pipe: tuple[StdinSource, int, EventCounter], data: bytes
) -> None:
    source, write, _ = pipe
    os.write(write, data)
    os.close(write)
    with pytest.raises(AudioError, match="ended before any sound came"):
        list(source.blocks())


@pytest.mark.posix
def test_an_unreadable_standard_input_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as stream:
        source = StdinSource(stream, 16000, EventCounter())
        with pytest.raises(AudioError, match="cannot be read"):
            list(source.blocks())


@pytest.mark.parametrize(
    ("data", "noted"),
    [(b"RIFF\0\0", True), (b"OggS", True), (b"fLaC\0\0", True), (b"\0\0RIFF", False)],
)
def test_an_audio_file_instead_of_raw_samples_is_noted(
    pipe: tuple[StdinSource, int, EventCounter], data: bytes, noted: bool
) -> None:
    source, write, events = pipe
    os.write(write, data)
    os.close(write)
    assert len(joined(source)) == len(data) // 2
    assert any("--wav /dev/stdin" in note for note in events.notes) == noted


# --- microphones


def first_block(blocks: Iterator[PcmBlock], wanted: Callable[[PcmBlock], bool]) -> PcmBlock:
    """The first block for which `wanted` holds, within one minute of audio."""
    received = 0
    for block in blocks:
        received += len(block.samples)
        if wanted(block):
            return block
        assert received < 60 * 16000, "no such block within a minute"
    raise AssertionError("the source ended")


def is_loud(block: PcmBlock) -> bool:
    return float(np.abs(block.samples).max()) > 0.2


class FakePortAudio:
    """Replaces sounddevice: a device with some formats only, which records `sent`."""

    class PortAudioError(Exception):
        pass

    def __init__(
        self, formats: list[tuple[int, int]], sent: np.ndarray, failure: Exception | None = None
    ) -> None:
        self.default = type("Default", (), {"device": (0, 0)})
        self.tried: list[tuple[int, int]] = []
        self._formats, self._sent, self._failure = formats, sent, failure

    def query_devices(self) -> list[dict[str, object]]:
        channels = max(channels for _, channels in self._formats)
        return [{"name": "Mic", "max_input_channels": channels, "default_samplerate": 44100.0}]

    def InputStream(self, samplerate, channels, blocksize, callback, **_):  # noqa: N802
        self.tried.append((samplerate, channels))
        if (samplerate, channels) not in self._formats:
            raise self.PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        times = type("Times", (), {"inputBufferAdcTime": 0.0, "currentTime": 0.0})

        def start(_: object) -> None:
            if self._failure is not None:
                raise self._failure
            for at in range(0, len(self._sent), blocksize):
                piece = self._sent[at : at + blocksize]
                callback(piece, len(piece), times, None)

        return type("Stream", (), {"start": start, "close": lambda self: None, "closed": True})()


def record(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch, seconds: float) -> np.ndarray:
    """At least `seconds` of samples from a microphone."""
    monkeypatch.setitem(sys.modules, "sounddevice", portaudio)
    source = MicSource(None, EventCounter())
    found: list[np.ndarray] = []
    for block in source.blocks():
        found.append(block.samples)
        if sum(map(len, found)) >= seconds * 16000:
            source.close()
    return np.concatenate(found)


@pytest.mark.parametrize("rate", [48000, 32000, 16000, 8000, 96000])
def test_rates_are_tried_until_one_opens(monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    sound = sine(440, 1.0, rate)
    portaudio = FakePortAudio([(rate, 1)], sound[:, None])
    found = record(portaudio, monkeypatch, 0.9)
    assert is_in_phase(found[:12000], 440)
    assert portaudio.tried[0] == (44100, 1)


def test_a_device_that_opens_at_no_rate_lists_the_tried_rates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio([(12345, 1)], np.zeros((0, 1))))
    with pytest.raises(AudioDeviceError, match=r"Invalid sample rate.*tried 44100, 48000, 32000"):
        MicSource(None, EventCounter())


@pytest.mark.parametrize("second", [-1.0, 0.0])
def test_all_channels_of_a_microphone_are_downmixed(
    monkeypatch: pytest.MonkeyPatch, second: float
) -> None:
    sound = sine(440, 1.0, 44100)
    portaudio = FakePortAudio([(44100, 2), (44100, 1)], np.stack([sound, second * sound], 1))
    found = record(portaudio, monkeypatch, 0.9)
    assert np.abs(found[2000:12000]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("failure", [OSError("cannot set hw params"), RuntimeError("gone")])
def test_a_failed_start_ends_the_source(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    portaudio = FakePortAudio([(44100, 1)], np.zeros((0, 1)), failure)
    with pytest.raises(AudioDeviceError, match=r"microphone 0 \(Mic\) did not start: "):
        record(portaudio, monkeypatch, 1)


@pytest.mark.audio_device
def test_a_microphone_records_what_is_played(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, sine(440, 2.0, 16000), 16000)
    events = EventCounter()
    source = MicSource(None, events)
    blocks = source.blocks()
    quiet = next(blocks)
    assert not is_loud(quiet)
    player = sound_card.play(path)
    try:
        first_block(blocks, is_loud)
        recorded = np.concatenate([next(blocks).samples for _ in range(40)])
    finally:
        player.terminate()
        player.wait()
        source.close()
    assert list(blocks) == []
    spectrum = np.abs(np.fft.rfft(recorded[:8000] * np.hanning(len(recorded[:8000]))))
    frequency = spectrum.argmax() * 16000 / len(recorded[:8000])
    assert frequency == pytest.approx(440, abs=4)
    assert np.abs(recorded).max() == pytest.approx(0.5, abs=0.05)
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
def test_a_lost_microphone_is_counted_and_reopened(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    blocks = source.blocks()
    for _ in range(5):
        next(blocks)
    sound_card.stop()
    back = threading.Timer(1.5, sound_card.start)
    back.start()
    try:
        first_block(blocks, lambda block: events.snapshot()[LOST_DEVICE] == 1)
    finally:
        back.join()
        source.close()
    assert list(blocks) == []
    assert events.snapshot()[LOST_DEVICE] == 1
    assert [note for note in events.notes if "went away" in note] == list(events.notes)


@pytest.mark.audio_device
def test_close_works_while_the_microphone_is_lost(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    received = threading.Event()

    def read() -> None:
        for _ in source.blocks():
            received.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert received.wait(10)
    sound_card.stop()
    source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()


@pytest.mark.audio_device
def test_a_device_that_never_starts_is_given_up(
    sound_card: VirtualSoundCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_STUCK_S", 0.01)
    given_up: list[object] = []
    monkeypatch.setattr(source_module, "give_up", given_up.append)
    source = MicSource(None, EventCounter())
    released = threading.Event()
    source._stream.close()
    source._stream = stuck = type("Stuck", (), {"start": lambda self: released.wait(60)})()
    with pytest.raises(AudioDeviceError, match="did not start within"):
        list(source.blocks())
    released.set()
    assert given_up == [stuck]


@pytest.mark.audio_device
def test_the_oldest_unread_blocks_are_dropped(sound_card: VirtualSoundCard) -> None:
    events = EventCounter()
    source = MicSource(None, events)
    quiet = np.zeros((441, 1), np.float32)
    times = type("Times", (), {"inputBufferAdcTime": 0.0, "currentTime": 0.0})
    for _ in range(503):
        source._received(quiet, 441, times, None)
    source.close()
    assert events.snapshot()[OVERRUN] == 3


@pytest.mark.audio_device
def test_an_unknown_microphone_is_refused(sound_card: VirtualSoundCard) -> None:
    with pytest.raises(AudioDeviceError, match=r"(?s)no microphone 'theremin'.*default"):
        MicSource("theremin", EventCounter())
