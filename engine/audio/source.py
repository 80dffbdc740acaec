"""Audio sources: a file, a pipe, a microphone. All give mono blocks at 16 kHz.

A source gives the capture time of each block if it has a clock. The only file of `engine/audio`
that reads a clock.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.device import InputDevice as InputDevice
from engine.audio.device import find_device, give_up, opened, portaudio, rescan
from engine.audio.device import list_devices as list_devices
from engine.audio.mix import Downmix
from engine.audio.resample import Resampler
from engine.audio.sound_file import WavSource as WavSource
from engine.errors import AudioDeviceError, AudioError
from engine.events import BAD_SAMPLE, LOST_DEVICE, OVERRUN, EventCounter

_READ_BYTES: Final = 1 << 16
_POLL_S: Final = 0.1  # time until a source notices that it was closed
_STOPPED_S: Final = 0.5  # a wait of 0.1 s that took longer: the process was stopped
_SILENT_DEVICE_S: Final = 1.0  # time without a callback after which the device counts as gone
_REOPEN_S: Final = 1.0
_MIC_BLOCK_S: Final = 0.010
_QUEUED_BLOCKS: Final = 500  # 5 s: more means that nothing reads
_STUCK_S: Final = 2.0  # PortAudio starts a sound device much sooner, or never
_CLOSE_S: Final = 0.1
_MOST_AGE_S: Final = 0.5  # an older capture time is an error of the driver
_MIC_RATES: Final = (48000, 44100, 32000, 16000, 96000, 24000, 22050, 11025, 8000, 192000)
_MOST_CHANNELS: Final = 8  # a device with more channels is a software mixer, not a microphone
_CONTAINERS: Final = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b"caff")


_WANTED: Final = (
    "expected 16-bit little-endian mono PCM, for example: "
    "ffmpeg -i in.mp3 -f s16le -ac 1 -ar 16000 - | emage-live --stdin"
)


class AudioSource(Protocol):
    """A source of mono sound."""

    sample_rate: int
    paced: bool  # True: blocks arrive by themselves in real time

    @property
    def delay_s(self) -> float:
        """Largest delay in seconds from the capture of a sample to the block that contains it."""
        ...

    def blocks(self) -> Iterator[PcmBlock]:
        """Blocks of any size until the audio ends or the source is closed; waits for them."""
        ...

    def close(self) -> None:
        """End `blocks` within 0.2 s. From any thread, any number of times."""
        ...


class StdinSource:
    """16-bit little-endian mono PCM at `rate` from a pipe; bytes are passed on as they arrive.

    `stream` must have a file descriptor, None stands for a closed one. A block's time is when its
    bytes were read. A single byte at the end is counted as BAD_SAMPLE. Raises AudioError without a
    descriptor and for a terminal, and ConfigError for an impossible rate; `blocks` raises
    AudioError for an unreadable or empty pipe. Where the system cannot wait for a pipe with a
    timeout (Windows), `close` takes effect with the next bytes.
    """

    sample_rate = SAMPLE_RATE
    paced = False

    def __init__(self, stream: BinaryIO | None, rate: int, events: EventCounter) -> None:
        try:
            self._descriptor = -1 if stream is None else stream.fileno()
            terminal = os.isatty(self._descriptor)
        except (OSError, ValueError, AttributeError):
            self._descriptor = -1
        if self._descriptor < 0:
            raise AudioError(f"standard input is closed or not a pipe; {_WANTED}")
        if terminal:
            raise AudioError(f"standard input is a terminal; {_WANTED}")
        self._stream = stream  # keeps the descriptor open
        self._resampler = Resampler(rate, SAMPLE_RATE, events=events)
        self._events = events
        self._closed = Event()

    @property
    def delay_s(self) -> float:
        """The largest delay of the resampler."""
        return self._resampler.delay_s

    def blocks(self) -> Iterator[PcmBlock]:
        """One block per read that completed a sample, then the resampler's rest."""
        odd, bytes_read = b"", 0
        while (data := self._read()) is not None:
            captured_at = time.monotonic()
            if not bytes_read:
                self._look_at(data)
            bytes_read += len(data)
            data = odd + data
            whole = len(data) // 2 * 2
            odd = data[whole:]
            samples = self._resampler.feed(np.frombuffer(data[:whole], "<i2").astype(np.int16))
            if samples.size:
                yield PcmBlock(samples, captured_at - self._resampler.held_s)
        if self._closed.is_set():
            return
        if odd:
            self._events.count(BAD_SAMPLE)
            self._events.note(
                "standard input ended in the middle of a sample, so one byte was left out; "
                "is it 16-bit PCM?"
            )
        if bytes_read < 2:
            raise AudioError(f"standard input ended before any sound came; {_WANTED}")
        rest = self._resampler.flush()
        if rest.size:
            yield PcmBlock(rest, time.monotonic())

    def close(self) -> None:
        """End `blocks`, also while it waits for bytes."""
        self._closed.set()

    def _read(self) -> bytes | None:
        """Bytes that have arrived, waiting for them; None at the end or when closed."""
        while not self._closed.is_set():
            try:
                if self._ready():
                    return os.read(self._descriptor, _READ_BYTES) or None
            except OSError as error:
                raise AudioError(
                    f"standard input cannot be read ({error.strerror}); {_WANTED}"
                ) from error
        return None

    def _look_at(self, data: bytes) -> None:
        """Note first bytes that are those of a sound file, not of raw samples."""
        if data.startswith(_CONTAINERS):
            self._events.note(
                "standard input begins like a sound file, not like raw 16-bit PCM, and may become "
                "noise; to play a file use --wav FILE, or --wav /dev/stdin"
            )

    def _ready(self) -> bool:
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(_POLL_S * 1000))


class MicSource:
    """A microphone at the first accepted rate, its own if possible, mixed to mono at 16 kHz.

    device: None for the default, an index, or part of a name. It is opened at once, so that a wrong
    one raises AudioDeviceError here; a device that is lost later is counted as LOST_DEVICE, noted,
    and reopened every second until `close`. Lost audio is not replaced by silence.
    """

    sample_rate = SAMPLE_RATE
    paced = True

    def __init__(self, device: int | str | None, events: EventCounter) -> None:
        self._events = events
        self._closed = Event()
        self._queue: Queue[tuple[NDArray[np.float32], float]] = Queue(_QUEUED_BLOCKS)
        self._finished = Event()
        self._sound = portaudio()
        self._wanted = device
        self.device = find_device(device)
        self._stream: Any = self._open()

    @property
    def delay_s(self) -> float:
        """The delay of the resampler and the length of a block."""
        return self._resampler.delay_s + _MIC_BLOCK_S

    def blocks(self) -> Iterator[PcmBlock]:
        """Blocks of about 10 ms, from the moment of this call, until closed."""
        try:
            if not self._closed.is_set():
                self._start()
            while not self._closed.is_set():
                looked = time.monotonic()
                try:
                    samples, captured_at = self._queue.get(timeout=_POLL_S)
                except Empty:
                    if time.monotonic() - looked > _STOPPED_S:
                        self._last = time.monotonic()  # this process was stopped, not the device
                    self._watch()
                    continue
                self._last = time.monotonic()
                if samples.shape[1] != self._channels:
                    continue  # of the stream before the device was lost
                mono = self._resampler.feed(self._mix.feed(samples))
                if mono.size:
                    yield PcmBlock(mono, captured_at - self._resampler.held_s)
        finally:
            self._abandon()

    def close(self) -> None:
        """End `blocks` within 0.1 s; the thread that runs `blocks` releases the device."""
        self._closed.set()
        if self._stream is not None and not self._started:
            self._abandon()

    def _open(self) -> Any:
        """An open, stopped stream at the first accepted rate and number of channels."""
        self._started = False
        self._last = time.monotonic()
        refused: Exception | None = None
        rates = [rate for rate in dict.fromkeys((self.device.rate, *_MIC_RATES)) if rate > 0]
        most = self.device.channels
        wanted = most if most <= _MOST_CHANNELS else 2
        for rate in rates:
            for channels in dict.fromkeys((wanted, 1, most)):
                # Drivers raise more than PortAudioError; the next setting may work.
                try:
                    return opened(self._opened_at(rate, channels))
                except Exception as error:
                    refused = refused or error
        raise AudioDeviceError(
            f"{self._named()} did not open: {refused}; tried {', '.join(map(str, rates))} Hz; "
            "close other programs that use it, or choose another with --mic (see --list-devices)"
        )

    def _opened_at(self, rate: int, channels: int) -> Any:
        self._rate, self._channels = rate, channels
        self._resampler = Resampler(rate, SAMPLE_RATE, events=self._events)
        self._mix = Downmix(rate, channels, self._events)
        return self._sound.InputStream(
            samplerate=rate,
            blocksize=round(rate * _MIC_BLOCK_S),
            device=self.device.index,
            channels=channels,
            dtype="float32",
            latency="low",
            callback=self._received,
            finished_callback=self._finished.set,
        )

    def _named(self) -> str:
        return f"microphone {self.device.index} ({self.device.name})"

    def _start(self) -> None:
        self._finished.clear()
        self._started = True
        self._last = time.monotonic()
        try:
            done = _finish(self._stream.start, _STUCK_S, self._closed)
        except Exception as error:
            raise AudioDeviceError(
                f"{self._named()} did not start: {error}; choose another with --mic (see "
                "--list-devices)"
            ) from error
        if not done:
            stream, self._stream = self._stream, None
            give_up(stream)
            if self._closed.is_set():
                return
            raise AudioDeviceError(
                f"{self._named()} did not start within {_STUCK_S:g} s; plug it in again, or choose "
                "another with --mic"
            )

    def _received(self, sound: NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        """Callback of PortAudio's own thread: copy, stamp, pass on."""
        now = time.monotonic()
        captured_at = now
        if times.inputBufferAdcTime > 0:
            age = times.currentTime - times.inputBufferAdcTime - frames / self._rate
            if 0 <= age <= _MOST_AGE_S:
                captured_at = now - age
        if self._queue.full():
            self._events.count(OVERRUN)
            with contextlib.suppress(Empty):
                self._queue.get_nowait()
        self._queue.put_nowait((sound.copy(), captured_at))

    def _watch(self) -> None:
        """After a time without audio: check whether the device is gone, and reopen it."""
        silent_s = time.monotonic() - self._last
        if not self._finished.is_set() and silent_s < _SILENT_DEVICE_S:
            return
        self._events.count(LOST_DEVICE)
        self._events.note(f"{self._named()} went away; it is tried again every second")
        self._abandon()
        while not self._closed.wait(_REOPEN_S):
            try:
                self._renew()
                return
            except AudioDeviceError:
                self._abandon()

    def _renew(self) -> None:
        rescan()
        self.device = find_device(self._wanted)
        self._stream = self._open()
        self._start()

    def _abandon(self) -> None:
        stream, self._stream = self._stream, None
        # An exception while closing a lost device means nothing.
        with contextlib.suppress(Exception):
            if stream is not None and not _finish(stream.close, _CLOSE_S, Event()):
                give_up(stream)


def _finish(call: Callable[[], None], within_s: float, closed: Event) -> bool:
    """Whether `call` ended in time; its exception is raised here.

    PortAudio can wait for ever for a device that is lost while it starts (seen with ALSA), and a
    blocked thread must not block the session.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            raised.append(error)

    thread = Thread(target=run, name="microphone", daemon=True)
    thread.start()
    deadline = time.monotonic() + within_s
    while thread.is_alive() and not closed.is_set() and time.monotonic() < deadline:
        thread.join(_CLOSE_S)
    thread.join(_CLOSE_S)
    if raised:
        raise raised[0]
    return not thread.is_alive()
