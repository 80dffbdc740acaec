"""Player: plays the speech in step with the motion.

Each sample is played when its pose is shown, `delay_s` after its capture. Small errors of the sound
clock are corrected by dropping or repeating a few samples. Needs PortAudio.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.audio import SAMPLE_RATE
from engine.audio.device import opened, portaudio
from engine.errors import AudioDeviceError
from engine.timing import Timings

_KEPT: Final = 10 * SAMPLE_RATE
_RATES: Final = (SAMPLE_RATE, 48000, 44100, 96000, 32000)
_SLACK: Final = SAMPLE_RATE // 50  # larger offsets are audible: jump


class Player:
    """Plays samples on the default loudspeaker.

    captured_s: gives the monotonic capture time of a sample. delay_s: gives the seconds from then
    until its pose is shown. Raises AudioDeviceError without a loudspeaker.
    """

    def __init__(self, captured_s: Callable[[int], float], delay_s: Callable[[], float]) -> None:
        self._captured_s, self._delay_s = captured_s, delay_s
        self._ring: NDArray[np.float32] = np.zeros(_KEPT, np.float32)
        self._end = 0
        self._position: float | None = None
        self._rate = SAMPLE_RATE  # of the loudspeaker
        self._lock = Lock()
        self._offsets = Timings()
        self._stream = self._open()

    def _open(self) -> Any:
        """A running stream at the first accepted rate and number of channels."""
        sound = portaudio()
        refused: Exception | None = None
        for self._rate in _RATES:
            for channels in (1, 2):
                # Drivers raise more than PortAudioError; the next setting may work.
                try:
                    stream = sound.OutputStream(
                        samplerate=self._rate,
                        channels=channels,
                        dtype="float32",
                        callback=self._fill,
                    )
                    stream.start()
                    return opened(stream)
                except Exception as error:
                    refused = refused or error
        raise AudioDeviceError(
            f"no loudspeaker could be opened ({refused}; tried {', '.join(map(str, _RATES))} Hz); "
            "connect one or leave out --play"
        )

    def take(self, first: int, samples: NDArray[np.float32]) -> None:
        """Take samples, beginning with sample `first`."""
        with self._lock:
            where = np.arange(first, first + len(samples)) % _KEPT
            self._ring[where] = samples
            self._end = first + len(samples)

    def offset_ms(self) -> dict[str, float] | None:
        """Delay of the audio after its pose: p50, p95, p99, max."""
        return self._offsets.summary()

    def close(self) -> None:
        """Stop at once."""
        self._stream.abort()
        self._stream.close()

    def _fill(self, out: Any, frames: int, times: Any, _status: Any) -> None:
        sounding_s = time.monotonic() + times.outputBufferDacTime - times.currentTime
        with self._lock:
            wanted = self._wanted(sounding_s)
            if self._position is None or abs(wanted - self._position) > _SLACK:
                self._position = wanted
            start = self._position
            self._offsets.add((start - wanted) * -1000 / SAMPLE_RATE)
            step = SAMPLE_RATE / self._rate
            at = np.asarray(start + np.arange(frames + 1) * step, np.float64)
            out[:] = self._between(at[:-1])[:, None]
            self._position = float(at[-1])

    def _between(self, at: NDArray[np.float64]) -> NDArray[np.float32]:
        """The audio at positions between samples, where it is available."""
        first = np.floor(at).astype(np.int64)
        part = (at - first).astype(np.float32)
        return self._known(first) * (1 - part) + self._known(first + 1) * part

    def _known(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        known = (index >= max(0, self._end - _KEPT)) & (index < self._end)
        return np.where(known, self._ring[index % _KEPT], np.float32(0))

    def _wanted(self, sounding_s: float) -> int:
        """The sample whose pose is shown at `sounding_s`."""
        origin_s = self._captured_s(0)
        if origin_s != origin_s:  # the stream has not begun
            return -SAMPLE_RATE
        return int((sounding_s - origin_s - self._delay_s()) * SAMPLE_RATE)
