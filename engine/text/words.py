"""Words in time: TimedWord, the vocabulary of a model, and a transcript that may be revised.

Words may arrive late, in any order, be corrected, be in the future, or never arrive.
"""

import math
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.errors import ConfigError, TranscriptError

PAD: Final = 0  # no speech
SOS: Final = 1
EOS: Final = 2
UNK: Final = 3  # a word that is not in the vocabulary
_FIRST_WORD: Final = 4
_JITTER_S: Final = 0.05  # typical disagreement between two results of a recogniser


@dataclass(frozen=True)
class TimedWord:
    """A word and when it is spoken, in seconds since the stream began.

    Raises TranscriptError for an empty word, times that are not finite, or an end before the start.
    """

    text: str
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise TranscriptError("expected a word, got an empty text; leave silence out")
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise TranscriptError(
                f"the word {self.text!r} needs times in seconds, got {self.start_s} to {self.end_s}"
            )
        if self.end_s < self.start_s:
            raise TranscriptError(
                f"the word {self.text!r} ends at {self.end_s} s, before it starts at "
                f"{self.start_s} s; swap or correct the times"
            )


def normalise(text: str) -> str:
    """Lower case, plain apostrophes, no punctuation or space around."""
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    first, last = 0, len(text)
    while first < last and _is_around(text[first]):
        first += 1
    while last > first and _is_around(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_around(character: str) -> bool:
    return character != "'" and unicodedata.category(character)[0] in "PZC"


class Vocabulary:
    """The vocabulary of a model; the first word has the number 4, after PAD, SOS, EOS and UNK.

    The empty word, if there is one, has the number of silence, which is PAD otherwise. A word is
    looked up as it is written, then normalised. Of several words that are equal once normalised
    (the published vocabularies have such), the one in the same spelling, or else the first, is
    found. Raises ConfigError for a word that occurs twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._exact = {word: _FIRST_WORD + i for i, word in enumerate(self.words)}
        if len(self._exact) != len(self.words):
            twice = [w for i, w in enumerate(self.words) if self._exact[w] != i + _FIRST_WORD]
            raise ConfigError(
                f"a vocabulary needs words that differ; more than once: {', '.join(twice[:5])}"
            )
        self._ids = {normalise(word): self._exact[word] for word in reversed(self.words)}
        self._ids |= {word: i for word, i in self._exact.items() if word == normalise(word)}
        self._ids.pop("", None)
        self.silence = self._exact.get("", PAD)

    def __len__(self) -> int:
        return _FIRST_WORD + len(self.words)

    def id_of(self, text: str) -> int:
        """The word's number, in any case; UNK for an unknown word."""
        return self._exact.get(text) or self._ids.get(normalise(text), UNK)


class Transcript:
    """The words received so far, in order and without overlap."""

    def __init__(self) -> None:
        self._words: list[TimedWord] = []
        self._starts: list[float] = []

    @property
    def words(self) -> tuple[TimedWord, ...]:
        """All words received so far, in order."""
        return tuple(self._words)

    def clear(self) -> None:
        """Forget everything."""
        self.restore(())

    def snapshot(self) -> tuple[TimedWord, ...]:
        """The words received so far, as an immutable copy."""
        return tuple(self._words)

    def restore(self, words: tuple[TimedWord, ...]) -> None:
        """Go back to a snapshot."""
        self._words = list(words)
        self._starts = [word.start_s for word in words]

    def add(self, words: Iterable[TimedWord]) -> None:
        """Add words in any order; they replace earlier words that they overlap.

        An older word that reaches less than 50 ms into a newer one is only shortened. Of two new
        words that overlap, the one that starts later shortens the other.
        """
        batch = sorted(words, key=lambda word: (word.start_s, word.end_s))
        for word, following in zip_longest(batch, batch[1:]):
            end_s = word.end_s if following is None else min(word.end_s, following.start_s)
            if end_s > word.start_s or following is None or word.start_s < following.start_s:
                self._put(replace(word, end_s=max(end_s, word.start_s)))

    def forget(self, before_s: float, most: int) -> None:
        """Drop words that ended before `before_s`, and all but the `most` latest: hours fit."""
        gone = 0
        while gone < len(self._words) and self._words[gone].end_s < before_s:
            gone += 1
        gone = max(gone, len(self._words) - most)
        if gone:
            self.restore(tuple(self._words[gone:]))

    def ids(
        self, vocabulary: Vocabulary, clock: FrameClock, first: int, count: int
    ) -> NDArray[np.int64]:
        """The word spoken in each of `count` frames from `first` on, `[count]`; silence for none.

        A word has the frames from its start to its end; the frame of its end only if no other word
        has it.
        """
        ids = np.full(count, vocabulary.silence, np.int64)
        for word in self._from(clock.time_s(first)):
            start = clock.frame_at_time(word.start_s)
            if start >= first + count:
                break
            end = max(start + 1, clock.frame_at_time(word.end_s))
            ids[max(0, start - first) : max(0, end - first)] = vocabulary.id_of(word.text)
        return ids

    def at_instants(
        self, vocabulary: Vocabulary, clock: FrameClock, first: int, count: int
    ) -> NDArray[np.int64]:
        """The same by the rule of the published text models.

        A frame has the word that holds its first instant, frame / rate seconds. An instant at which
        a word or a silence ends still belongs to it, as in transcripts whose intervals leave no
        gap; so a word that starts there begins with the next frame, unless it starts the stream.
        """
        ids = np.full(count, vocabulary.silence, np.int64)
        instants = np.arange(first, first + count) / clock.frame_rate
        for word in self._from(first / clock.frame_rate):
            if word.start_s > (first + count - 1) / clock.frame_rate:
                break
            begun = (word.start_s < instants) | ((instants == 0.0) & (word.start_s <= 0.0))
            ids[begun & (instants <= word.end_s)] = vocabulary.id_of(word.text)
        return ids

    def _from(self, time_s: float) -> list[TimedWord]:
        """The words from the one before that which was begun last at `time_s` on."""
        return self._words[max(0, bisect_right(self._starts, time_s) - 2) :]

    def _put(self, word: TimedWord) -> None:
        """Insert one word; shorten or remove the older ones it overlaps."""
        low = bisect_left(self._starts, word.start_s)
        while low > 0 and self._words[low - 1].end_s > word.start_s:
            low -= 1
        high = low
        kept: list[TimedWord] = []
        while high < len(self._words) and _meets(self._words[high], word):
            kept.extend(_shortened(self._words[high], word))
            high += 1
        # A word without length precedes a word that begins at the same time.
        merged = sorted([*kept, word], key=lambda known: (known.start_s, known.end_s))
        self._words[low:high] = merged
        self._starts[low:high] = [known.start_s for known in merged]


def _meets(old: TimedWord, new: TimedWord) -> bool:
    return old.start_s < new.end_s or old.start_s == new.start_s


def _shortened(old: TimedWord, new: TimedWord) -> list[TimedWord]:
    """The part of the older word that the newer one leaves: at most a shortened word."""
    if old.start_s < new.start_s and old.end_s - new.start_s <= _JITTER_S:
        return [replace(old, end_s=new.start_s)]
    if old.end_s > new.end_s > old.start_s and new.end_s - old.start_s <= _JITTER_S:
        return [replace(old, start_s=new.end_s)]
    return []
