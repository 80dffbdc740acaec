"""Forced alignment of a recording and its text: `Speech` with words, phones and stresses.

pocketsphinx aligns the text. flite gives the phones of words outside its dictionary, and the
stressed vowel of every word.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.errors import TranscriptError
from engine.motion.pose import FloatArray
from training.speech import flite
from training.speech.phones import VOWELS
from training.speech.pocketsphinx_decoder import load_decoder
from training.speech.speech import Phone, Speech, SpokenWord

_FRAME_S = 0.01
_BEAMS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}
"""Wider than the defaults, because the words are given and only their times are searched."""
_LATE_S = 0.015  # offset of phone times: frames are 25 ms long and stamped with their start
_PLAIN = {"ax": "AH", "axr": "ER", "dx": "T", "nx": "N", "el": "AH L", "em": "AH M", "en": "AH N"}
"""Recogniser phones of flite phones that it lacks."""
_GAP_S = 0.04  # shorter gaps are stop closures, not silence
_TAIL_S = 0.3
_MARK = "phone-"
_PHONES = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W "
    "Y Z ZH"
)
"""The recogniser's phones."""


@dataclass(frozen=True)
class _Segment:
    """A word or phone in recogniser notation, with start and end in seconds."""

    name: str
    start: float
    end: float

    @property
    def silent(self) -> bool:
        return self.name.startswith(("<", "["))


class Aligner:
    """Forced aligner; ConfigError if pocketsphinx or flite is missing."""

    def __init__(self) -> None:
        self._decoder = _new_decoder()

    def align(self, samples: FloatArray, text: str) -> Speech:
        """Align `text` with `samples` `[S]` at 16 kHz; TranscriptError if they do not match."""
        words = [word.strip("'") for word in re.findall(r"[a-z']+", text.lower())]
        words = [word for word in words if word]
        if not words:
            raise TranscriptError("expected the text of the recording, got none")
        for word in set(words):
            if self._decoder.lookup_word(word) is None:
                self._decoder.add_word(word, _flite_phones(word), True)
        # Without trailing silence the recogniser loses the last phone.
        padded = np.concatenate([samples, np.zeros(int(_TAIL_S * SAMPLE_RATE), np.float32)])
        raw = np.round(np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()
        found = self._times(words, raw)
        said = [word for word in found if not word.silent]
        # Phone alignment of pocketsphinx fails on every second recording, so phones are aligned as
        # words of one phone each.
        spelled = [self._decoder.lookup_word(word.name).split() for word in said]
        phones = self._times([_MARK + name for names in spelled for name in names], raw)
        return _speech(samples, [re.sub(r"\(\d+\)$", "", w.name) for w in said], spelled, phones)

    def _times(self, words: Sequence[str], raw: bytes) -> list[_Segment]:
        """Align words; the result also contains silences, named <sil>."""
        try:
            self._decoder.set_align_text(" ".join(words))
            self._decoder.start_utt()
            self._decoder.process_raw(raw, full_utt=True)
            self._decoder.end_utt()
            fits = self._decoder.hyp() is not None
        except RuntimeError:  # raised if no alignment exists
            self._decoder, fits = _new_decoder(), False
        found = self._found(len(words)) if fits else []
        if not found:
            raise TranscriptError(
                f"the text does not fit the recording of {len(raw) / 2 / SAMPLE_RATE:.1f} s: "
                f"{' '.join(words)[:60]!r}"
            )
        return found

    def _found(self, count: int) -> list[_Segment]:
        """Segments of the alignment; empty if more than the last of `count` words is missing."""
        found = [
            _Segment(str(s.word), s.start_frame * _FRAME_S, (s.end_frame + 1) * _FRAME_S)
            for s in self._decoder.seg()
        ]
        while found and found[-1].silent:
            found.pop()
        return found if count - sum(not s.silent for s in found) in (0, 1) else []


def _new_decoder() -> Any:
    decoder = load_decoder(lm=None, cmn="batch", **_BEAMS)
    for name in _PHONES.split():
        decoder.add_word(_MARK + name, name, True)
    return decoder


@lru_cache(maxsize=5000)
def _synthesized(word: str) -> Speech:
    return flite.speak(word, "kal16", 1.0)


def _flite_phones(word: str) -> str:
    """Phones of a word by flite, in recogniser notation."""
    names = [p.name for p in _synthesized(word).phones if p.name != "pau"]
    return " ".join(_PLAIN.get(name, name.upper()) for name in names)


def stressed_vowel(word: str) -> int:
    """Index of the vowel with the primary stress."""
    speech = _synthesized(word)
    vowels = [p for p in speech.phones if p.name in VOWELS]
    stressed = speech.words[0].vowel_start if speech.words else 0.0
    return next((i for i, p in enumerate(vowels) if abs(p.start - stressed) < 1e-6), 0)


def _speech(
    samples: FloatArray,
    words: Sequence[str],
    spelled: Sequence[Sequence[str]],
    segments: Sequence[_Segment],
) -> Speech:
    found = [
        Phone(s.name.removeprefix(_MARK).lower(), s.start + _LATE_S, s.end + _LATE_S)
        for s in segments
        if not s.silent
    ]
    if len(found) < sum(map(len, spelled)):  # the last phone is missing: split the one before
        last = found.pop()
        middle = 0.5 * (last.start + last.end)
        found += [replace(last, end=middle), Phone(spelled[-1][-1].lower(), middle, last.end)]
    sounds = iter(found)
    phones: list[Phone] = []
    spoken: list[SpokenWord] = []
    for word, names in zip(words, spelled, strict=True):
        own = [next(sounds) for _ in names]
        vowels = [p for p in own if p.name in VOWELS] or own
        vowel = vowels[min(stressed_vowel(word), len(vowels) - 1)]
        spoken.append(SpokenWord(word, own[0].start, own[-1].end, vowel.start, vowel.end))
        phones += own
    return Speech(samples, tuple(_filled(phones, len(samples) / SAMPLE_RATE)), tuple(spoken))


def _filled(phones: list[Phone], seconds: float) -> list[Phone]:
    """Fill gaps between phones with silence, from 0 to the end."""
    result: list[Phone] = []
    at = 0.0
    for phone in [*phones, Phone("pau", seconds, seconds)]:
        if phone.start - at > _GAP_S:
            result.append(Phone("pau", at, phone.start))
        elif result:
            result[-1] = Phone(result[-1].name, result[-1].start, min(phone.start, seconds))
        start = result[-1].end if result else 0.0
        if phone.end > start:
            result.append(Phone(phone.name, start, min(phone.end, seconds)))
        at = max(at, phone.end)
    return result
