"""Speech with the times of its words, phones and stressed vowels.

16 kHz mono, phones in the ARPAbet names of `training.speech.phones`. Pitch is shifted by
resampling, which moves the formants along and so makes new speakers of the few there are. Where the
sound comes from and what a body does with it is not known here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.motion.pose import FloatArray


@dataclass(frozen=True)
class Phone:
    """An ARPAbet phone (`pau` in silence), seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class SpokenWord:
    """A word, its extent and that of its stressed vowel in seconds.

    accented: the synthesiser thinks that the word stands out.
    """

    text: str
    start: float
    end: float
    vowel_start: float
    vowel_end: float
    accented: bool = False


@dataclass(frozen=True)
class Speech:
    """samples `[S]` at 16 kHz in -1..1, phones without gaps, words in order."""

    samples: FloatArray
    phones: tuple[Phone, ...]
    words: tuple[SpokenWord, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    def shifted(self, offset: float) -> "Speech":
        """The same samples with all times moved by `offset` seconds."""
        return self._timed(lambda t: t + offset)

    def _timed(self, move: Callable[[float], float]) -> "Speech":
        words = tuple(
            replace(
                w,
                start=move(w.start),
                end=move(w.end),
                vowel_start=move(w.vowel_start),
                vowel_end=move(w.vowel_end),
            )
            for w in self.words
        )
        phones = tuple(Phone(p.name, move(p.start), move(p.end)) for p in self.phones)
        return Speech(self.samples, phones, words)

    def pitched(self, factor: float) -> "Speech":
        """Resampled so that pitch and tempo are `factor` times higher."""
        samples = resample(self.samples, round(len(self.samples) / factor))
        return replace(self._timed(lambda t: t / factor), samples=samples)


def resample(samples: FloatArray, count: int) -> FloatArray:
    """`samples` stretched to `count` by its spectrum (silent ends keep the wrap unheard)."""
    spectrum = np.fft.rfft(np.asarray(samples, np.float64))
    wanted = count // 2 + 1
    fitted = np.zeros(wanted, complex)
    keep = min(wanted, len(spectrum))
    fitted[:keep] = spectrum[:keep]
    return (np.fft.irfft(fitted, count) * (count / len(samples))).astype(np.float32)
