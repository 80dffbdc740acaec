"""WavSource: a sound file of any kind, or a pipe that brings one, as mono blocks at 16 kHz.

All readable audio is used: a wrong length in a header is replaced, and a damaged file gives the
audio before the damage, then raises. Faults are noted. The only import of soundfile in the engine.
"""

import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.headers import repair
from engine.audio.mix import Downmix
from engine.audio.packets import Contents, Part, flac_contents, mp3_contents, ogg_contents
from engine.audio.resample import LEAST_RATE, MOST_RATE, Quality, Resampler
from engine.errors import AudioError
from engine.events import EventCounter

_READ_FRAMES: Final = 8192
_UNKNOWN_FRAMES: Final = 1 << 60  # soundfile reports a larger number for FLAC from a pipe
_UNCOUNTED: Final = 512  # allowed difference, in frames, of a header from the decoded length


class WavSource:
    """Any file that soundfile reads, mixed to mono, read from disk as it is used.

    A named pipe is read to its end first. block: samples per block at 16 kHz; the last one may be
    shorter. duration_s: NaN if the file does not say. events: `events.notes` lists faults of the
    file that were repaired. Raises AudioError for a file that is missing, empty or not audio;
    `blocks` raises it for damaged audio, after all audio before the damage.
    """

    sample_rate = SAMPLE_RATE
    paced = False
    delay_s = 0.0

    def __init__(
        self, path: str | Path, block: int = 160, events: EventCounter | None = None
    ) -> None:
        if block < 1:
            raise AudioError(f"a block holds at least one sample, got {block}")
        self._path = Path(path)
        self._block = block
        self._events = events or EventCounter()
        self._closed = False
        self._spool: BinaryIO | None = None
        with self._opened() as file:
            self._contents = self._examined(file)
            self.duration_s = sum(self._duration_s(file, part) for part in self._contents.parts)
        if self._contents.note:
            self._note(self._contents.note)

    def blocks(self) -> Iterator[PcmBlock]:
        """The whole file from its beginning, in blocks of `block` samples without a time."""
        rest = np.zeros(0, np.float32)
        fault: AudioError | None = None
        pieces = self._converted()
        while True:
            try:
                samples = next(pieces, None)
            except AudioError as error:
                samples, fault = None, error
            if samples is None or self._closed:
                break
            rest = np.concatenate([rest, samples])
            whole = rest.size // self._block * self._block
            for start in range(0, whole, self._block):
                if self._closed:
                    return
                yield PcmBlock(rest[start : start + self._block])
            rest = rest[whole:]
        if rest.size and not self._closed:
            yield PcmBlock(rest)
        if fault is not None and not self._closed:
            raise fault

    def close(self) -> None:
        """End `blocks` at its next block."""
        self._closed = True

    # -- the file --------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file as seekable bytes."""
        if self._spool is not None:
            yield self._spool
            return
        try:
            mode = self._path.stat().st_mode
            self._refuse(mode)
            file = self._path.open("rb")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AudioError(f"no audio file at {self._path} ({reason}); check the path") from error
        with file:
            if stat.S_ISREG(mode):
                yield file
                return
            self._spool = self._stored(file)
        yield self._spool

    def _refuse(self, mode: int) -> None:
        """Raise AudioError for anything but a file or pipe."""
        if stat.S_ISDIR(mode):
            raise AudioError(
                f"no audio file at {self._path}: it is a folder; name a file in it, or render all "
                "of them with emage-render"
            )
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise AudioError(
                f"no audio file at {self._path}: it is a device; use --mic for a microphone, "
                "--stdin for raw sound, or a file"
            )

    def _stored(self, pipe: BinaryIO) -> BinaryIO:
        """All bytes of a pipe, in an unnamed file."""
        self._note("it is a pipe and is read to its end first; for live sound use --stdin")
        try:
            spool = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the source)
            shutil.copyfileobj(pipe, spool)
            spool.flush()
        except OSError as error:
            raise AudioError(
                f"{self._path} is a pipe and could not be kept in a temporary file "
                f"({error.strerror}); set TMPDIR to a folder with room, or send raw PCM to --stdin"
            ) from error
        return spool

    def _examined(self, file: BinaryIO) -> Contents:
        """The parts of the file; AudioError if there are none."""
        try:
            length = os.fstat(file.fileno()).st_size
            if not length:
                raise AudioError(
                    f"{self._path} is empty (0 bytes); expected a wav, flac, ogg or mp3 file"
                )
            return _contents(file, length)
        except OSError as error:
            raise self._unreadable(error) from error

    def _duration_s(self, file: BinaryIO, part: Part) -> float:
        """The length of a part; AudioError if it cannot be used."""
        sound = self._decoder(_PartFile(file, part))
        with sound:
            rate, frames = sound.samplerate, sound.frames
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise AudioError(
                f"{self._path} says that it has {rate} samples a second; expected "
                f"{LEAST_RATE} to {MOST_RATE}: its header is damaged, or it must be resampled first"
            )
        if not frames and self._contents.fault:
            raise self._damaged(0.0, self._contents.fault)
        if not frames:
            raise self._soundless(self._contents.note)
        return float("nan") if frames > _UNKNOWN_FRAMES else frames / rate

    def _decoder(self, file: "_PartFile") -> Any:
        import soundfile

        try:
            sound = soundfile.SoundFile(file)
        except (soundfile.SoundFileError, TypeError, ValueError, OSError) as error:
            if file.error is not None:
                raise self._unreadable(file.error) from error
            reason = getattr(error, "error_string", error)
            raise AudioError(
                f"{self._path} is not audio that can be read ({reason}); convert it first, for "
                f"example: ffmpeg -i {self._path.name} out.wav"
            ) from error
        # soundfile seeks after each read, which fails at the end of a file of unknown length and
        # takes time in others; this file is read forwards only.
        sound.seekable = lambda: False
        return sound

    # -- the sound -------------------------------------------------------------------------------

    def _converted(self) -> Iterator[NDArray[np.float32]]:
        begin_s = 0.0
        with self._opened() as file:
            for part in self._contents.parts:
                begin_s = yield from self._part(file, part, begin_s)
        if self._contents.fault:
            raise self._damaged(begin_s, self._contents.fault)
        if not begin_s and not self._closed:
            raise self._soundless("only its header is there")

    def _part(
        self, file: BinaryIO, part: Part, begin_s: float
    ) -> Generator[NDArray[np.float32], None, float]:
        """The audio of one part; returns its end."""
        source = _PartFile(file, part)
        frames, fault = 0, ""
        with self._decoder(source) as sound:
            rate = sound.samplerate
            mix = Downmix(rate, sound.channels, self._events)
            resampler = Resampler(rate, SAMPLE_RATE, quality=Quality.FILE, events=self._events)
            while not self._closed and not fault:
                piece, fault = _read(sound)
                if not len(piece):
                    break
                frames += len(piece)
                yield resampler.feed(mix.feed(piece))
            yield resampler.feed(mix.flush())
            yield resampler.flush()
            end_s = begin_s + frames / rate
            if source.error is not None:
                raise self._unreadable(source.error)
            if fault and frames < sound.frames:  # a tag or padding follows the last sample
                raise self._damaged(end_s, fault)
            if not self._closed and sound.format != "MP3":
                self._compare(frames, sound.frames, rate)
        return end_s

    def _compare(self, frames: int, promised: int, rate: int) -> None:
        if frames + _UNCOUNTED < promised < _UNKNOWN_FRAMES:
            self._note(
                f"it holds {frames / rate:.2f} s of the {promised / rate:.2f} s that its header "
                "promises, so it was cut"
            )

    def _note(self, text: str) -> None:
        self._events.note(f"{self._path}: {text}")

    def _damaged(self, at_s: float, reason: str) -> AudioError:
        return AudioError(
            f"{self._path} is damaged {at_s:.2f} s after its beginning ({reason}); the sound "
            "before that was used: get the file again, or repair it, for example with ffmpeg"
        )

    def _soundless(self, reason: str) -> AudioError:
        why = f"0 samples: {reason}" if reason else "0 samples"
        return AudioError(f"{self._path} holds no sound ({why}); record it or copy it again")

    def _unreadable(self, error: OSError) -> AudioError:
        return AudioError(
            f"{self._path} cannot be read ({error.strerror or error}); check the disk or copy the "
            "file"
        )


def _contents(file: BinaryIO, length: int) -> Contents:
    """The parts of a file by its format; one part for formats without special cases."""
    file.seek(0)
    magic = file.read(4)
    if magic in (b"OggS", b"fLaC") or magic[:3] == b"ID3" or magic[:1] == b"\xff":
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _examine(data, magic)
        if found is not None:
            return found
    mended = repair(file, length)
    return Contents((Part(0, length, patches=mended.patches),), mended.note)


def _examine(data: mmap.mmap, magic: bytes) -> Contents | None:
    if magic == b"OggS":
        return ogg_contents(data)
    return flac_contents(data) if magic == b"fLaC" else mp3_contents(data)


def _read(sound: Any) -> tuple[NDArray[np.float32], str]:
    """The next frames `[n, C]`, and the reason if they are the last ones because of damage."""
    import soundfile

    # A failing decoder has written the frames decoded before; the rest stays NaN.
    piece = np.full((_READ_FRAMES, sound.channels), np.nan, np.float32)
    try:
        return np.asarray(sound.read(out=piece), np.float32), ""
    except soundfile.SoundFileError as error:
        missing = np.isnan(piece).any(axis=1)
        whole = int(missing.argmax()) if missing.any() else len(piece)
        return piece[:whole], str(getattr(error, "error_string", error)).strip(" .") or "no sync"


class _PartFile:
    """A part of a file, with its repairs, as a file object for soundfile.

    error: exception of the disk. soundfile would lose an exception, so the file ends there instead.
    """

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, self._part = file, part
        self._at = 0
        self._size = len(part.prefix) + part.end - part.start
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._at

    def read(self, count: int) -> bytes:
        """See `io.RawIOBase`."""
        prefix = self._part.prefix[self._at : self._at + count]
        self._at += len(prefix)
        rest = min(count - len(prefix), self._size - self._at)
        if rest <= 0:
            return prefix
        start = self._part.start + self._at - len(self._part.prefix)
        try:
            self._file.seek(start)
            data = self._file.read(rest)
        except OSError as error:
            self.error, data = error, b""
        self._at += len(data)
        return prefix + self._patched(start, data)

    def _patched(self, start: int, data: bytes) -> bytes:
        for offset, new in (self._part.patches or {}).items():
            first, last = max(offset, start), min(offset + len(new), start + len(data))
            if first < last:
                piece = new[first - offset : last - offset]
                data = data[: first - start] + piece + data[last - start :]
        return data
