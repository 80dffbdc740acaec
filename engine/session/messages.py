"""Messages that other threads send to the thread that computes a session."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.text.words import TimedWord


@dataclass(frozen=True)
class AudioIn:
    """Samples `[S]`; captured_at: when the last one was captured, NaN if that is not known."""

    samples: NDArray[np.float32]
    captured_at: float = math.nan


@dataclass(frozen=True)
class WordsIn:
    """Words, late or early, in seconds of the stream."""

    words: tuple[TimedWord, ...]


@dataclass(frozen=True)
class Cancel:
    """Stop speaking at once; the motion settles."""


@dataclass(frozen=True)
class End:
    """The audio is complete."""


Message: TypeAlias = AudioIn | WordsIn | Cancel | End
