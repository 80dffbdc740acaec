"""Speech with the times of its words, phones and stressed vowels.

16 kHz mono, phones in the ARPAbet names of `training.speech.phones`. Pitch is shifted by
resampling, which also shifts the formants and so gives more speakers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.motion.pose import FloatArray


@dataclass(frozen=True)
class Phone:
    """An ARPAbet phone (`pau` in silence) with start and end in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class SpokenWord:
    """A word with its times.

    Attributes:
        text: word.
        start: start, seconds.
        end: end, seconds.
        vowel_start: start of the stressed vowel, seconds.
        vowel_end: end of the stressed vowel, seconds.
        accented: true if the synthesiser puts an accent on the word.

    """

    text: str
    start: float
    end: float
    vowel_start: float
    vowel_end: float
    accented: bool = False


@dataclass(frozen=True)
class Speech:
    """Audio with aligned phones and words.

    Attributes:
        samples: at 16 kHz, `[S]`, -1..1.
        phones: in order, without gaps.
        words: in order.

    """

    samples: FloatArray
    phones: tuple[Phone, ...]
    words: tuple[SpokenWord, ...]

    @property
    def duration(self) -> float:
        """Duration, seconds."""
        return len(self.samples) / SAMPLE_RATE

    def shifted(self, offset: float) -> "Speech":
        """Shift all times by `offset` seconds; samples stay."""
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
        """Resample so that pitch and tempo are `factor` times higher."""
        samples = resample(self.samples, round(len(self.samples) / factor))
        return replace(self._timed(lambda t: t / factor), samples=samples)


def resample(samples: FloatArray, count: int) -> FloatArray:
    """FFT resampling to `count` samples; silent ends make the wrap-around inaudible."""
    spectrum = np.fft.rfft(np.asarray(samples, np.float64))
    wanted = count // 2 + 1
    fitted = np.zeros(wanted, complex)
    keep = min(wanted, len(spectrum))
    fitted[:keep] = spectrum[:keep]
    return (np.fft.irfft(fitted, count) * (count / len(samples))).astype(np.float32)
