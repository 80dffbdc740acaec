"""Synthesised speech with the true times of its words, phones and stressed vowels.

Two synthesisers are driven through their C libraries: flite (recorded voices; it tells word,
syllable stress and accent of every phone) and espeak-ng (formant voices in many variants). Both
give the same `Speech`, 16 kHz mono, phones in the ARPAbet names of `training.phones`. Pitch is
shifted by resampling, which moves the formants along and so makes new speakers of the few there
are. What a body does with the speech is not known here.
"""

import ctypes as c
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from engine.errors import ConfigError
from engine.pose import FloatArray
from training.phones import ESPEAK_PHONES, VOWELS

RATE = 16000


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
        return len(self.samples) / RATE

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


@dataclass(frozen=True)
class Voice:
    """Who speaks, as flite:slt or espeak:en-us+f3, and factors of its own tempo and pitch."""

    name: str
    tempo: float = 1.0
    pitch: float = 1.0


def synthesize(text: str, voice: Voice) -> Speech:
    """Speak `text`; raises ConfigError for an unknown voice or a missing library."""
    engine, _, name = voice.name.partition(":")
    if engine not in ("flite", "espeak"):
        raise ConfigError(f"expected a voice like flite:slt or espeak:en-us+f3, got {voice.name!r}")
    speak = _flite() if engine == "flite" else _espeak()
    _library("libc.so.6").srand(1)  # both dither with rand(): the same text sounds the same
    # Resampling changes the tempo too: ask the synthesiser for so much less.
    return speak(text, name, voice.tempo / voice.pitch).pitched(voice.pitch)


def _library(name: str) -> Any:
    try:
        return c.CDLL(name, mode=c.RTLD_GLOBAL)
    except OSError as error:
        raise ConfigError(
            f"expected the library {name}, got {error}; install flite and espeak-ng"
        ) from error


class _Wave(c.Structure):
    _fields_ = (
        ("type", c.c_char_p),
        ("rate", c.c_int),
        ("count", c.c_int),
        ("channels", c.c_int),
        ("samples", c.POINTER(c.c_short)),
    )


class _FliteVoice(c.Structure):
    _fields_ = (("name", c.c_char_p), ("features", c.c_void_p))


_IN_WORD = "R:SylStructure.parent.parent"
_TIMES = {"end": "end", "first": f"{_IN_WORD}.daughter1.daughter1.end"}
_NAMES = {
    "phone": "name",
    "word": f"{_IN_WORD}.name",
    "token": f"{_IN_WORD}.R:Token.parent.name",
    "stress": "R:SylStructure.parent.stress",
    "accent": "R:SylStructure.parent.accented",
}


class _Flite:
    """flite through its library: one utterance, then a walk over its segments."""

    def __init__(self) -> None:
        self._lib = _library("libflite.so.1")
        for name in ("usenglish", "cmulex"):
            _library(f"libflite_{name}.so.1")
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "flite_synth_text": (c.c_void_p, [c.c_char_p, c.c_void_p]),
            "utt_wave": (c.POINTER(_Wave), [c.c_void_p]),
            "utt_relation": (c.c_void_p, [c.c_void_p, c.c_char_p]),
            "relation_head": (c.c_void_p, [c.c_void_p]),
            "item_next": (c.c_void_p, [c.c_void_p]),
            "flite_ffeature_string": (c.c_char_p, [c.c_void_p, c.c_char_p]),
            "flite_ffeature_float": (c.c_float, [c.c_void_p, c.c_char_p]),
            "flite_feat_set_float": (None, [c.c_void_p, c.c_char_p, c.c_float]),
            "delete_utterance": (None, [c.c_void_p]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib.flite_init()
        self._voices: dict[str, int] = {}

    def _voice(self, name: str) -> int:
        if name not in self._voices:
            register = getattr(_library(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = c.c_void_p, [c.c_char_p]
            self._voices[name] = register(None)
        return self._voices[name]

    def __call__(self, text: str, name: str, tempo: float) -> Speech:
        voice = self._voice(name)
        features = _FliteVoice.from_address(voice).features
        self._lib.flite_feat_set_float(features, b"duration_stretch", 1.0 / tempo)
        utterance = self._lib.flite_synth_text(text.encode("ascii", "ignore"), voice)
        try:
            wave = self._lib.utt_wave(utterance).contents
            samples = np.ctypeslib.as_array(wave.samples, (wave.count,)).astype(np.float32) / 32768
            rate, rows = int(wave.rate), self._segments(utterance)
        finally:
            self._lib.delete_utterance(utterance)
        if rate != RATE:
            raise ConfigError(f"expected a 16 kHz voice, got {name} at {rate} Hz")
        return _from_segments(samples, rows)

    def _segments(self, utterance: int) -> list[dict[str, str]]:
        item = self._lib.relation_head(self._lib.utt_relation(utterance, b"Segment"))
        rows = []
        while item:
            name, time = self._lib.flite_ffeature_string, self._lib.flite_ffeature_float
            row = {k: name(item, f.encode()).decode() for k, f in _NAMES.items()}
            # Asked for as a string, a number ends the process.
            rows.append(row | {k: str(time(item, f.encode())) for k, f in _TIMES.items()})
            item = self._lib.item_next(item)
        return rows


def _from_segments(samples: FloatArray, rows: list[dict[str, str]]) -> Speech:
    phones: list[Phone] = []
    words: dict[str, list[tuple[Phone, dict[str, str]]]] = {}
    start = 0.0
    for row in rows:
        phone = Phone(row["phone"], start, max(start, float(row["end"])))
        start = phone.end
        phones.append(phone)
        if row["phone"] != "pau":
            words.setdefault(row["first"], []).append((phone, row))
    spoken: list[SpokenWord] = []
    for members in words.values():
        row = members[0][1]
        vowels = [(p, r) for p, r in members if p.name in VOWELS]
        stressed = [(p, r) for p, r in vowels if r["stress"] == "1"] or vowels or members
        vowel = stressed[0][0]
        if row["word"].startswith("'") and spoken:  # the 's of Smith's
            spoken[-1] = replace(
                spoken[-1], text=spoken[-1].text + row["word"], end=members[-1][0].end
            )
            continue
        token = row["token"].strip("\"',.;:!?()-").lower()
        text = token if token.replace("'", "") == row["word"] else row["word"]
        accented = any(r["accent"] == "1" for _, r in members)
        end = members[-1][0].end
        spoken.append(SpokenWord(text, members[0][0].start, end, vowel.start, vowel.end, accented))
    return Speech(samples, tuple(phones), tuple(spoken))


class _EventId(c.Union):
    _fields_ = (("number", c.c_int), ("string", c.c_char * 8))


class _Event(c.Structure):
    _fields_ = (
        ("type", c.c_int),
        ("unique", c.c_uint),
        ("position", c.c_int),
        ("length", c.c_int),
        ("milliseconds", c.c_int),
        ("sample", c.c_int),
        ("user", c.c_void_p),
        ("id", _EventId),
    )


_SYNCHRONOUS, _PHONEME_EVENTS, _WORD, _PHONEME, _UTF8 = 2, 1, 1, 7, 1
_ESPEAK_TEMPO = 165  # words a minute that count as tempo 1
_EVENT_LATE_S = 0.025  # how much later than the sound events are (energy against phones)


class _Espeak:
    """espeak-ng through its library: audio and events arrive in a callback."""

    def __init__(self) -> None:
        self._lib = _library("libespeak-ng.so.1")
        self._rate = int(self._lib.espeak_Initialize(_SYNCHRONOUS, 500, None, _PHONEME_EVENTS))
        if self._rate <= 0:
            raise ConfigError("expected espeak-ng to start, got an error; install espeak-ng-data")
        self._lib.espeak_TextToPhonemes.restype = c.c_char_p
        self._blocks: list[FloatArray] = []
        self._events: list[tuple[int, int, float, str]] = []
        kind = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))
        self._callback = kind(self._take)  # kept: the library calls it later
        self._lib.espeak_SetSynthCallback(self._callback)

    def _take(self, wave: Any, count: int, events: Any) -> int:
        if wave and count:
            self._blocks.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / 32768)
        index = 0
        while events[index].type != 0:
            event = events[index]
            name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
            time_s = max(0.0, event.sample / self._rate - _EVENT_LATE_S)
            self._events.append((event.type, event.position, time_s, name))
            index += 1
        return 0

    def __call__(self, text: str, name: str, tempo: float) -> Speech:
        if self._lib.espeak_SetVoiceByName(name.encode()) != 0:
            raise ConfigError(f"expected an espeak-ng voice such as en-us+f3, got {name!r}")
        self._lib.espeak_SetParameter(1, round(_ESPEAK_TEMPO * tempo), 0)
        self._blocks, self._events = [], []
        raw = text.encode("ascii", "ignore")
        self._lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8, None, None)
        native = np.concatenate(self._blocks)
        samples = resample(native, round(len(native) * RATE / self._rate))
        return self._assemble(samples, raw.decode())

    def _assemble(self, samples: FloatArray, text: str) -> Speech:
        end = len(samples) / RATE
        phones: list[Phone] = []
        groups: list[tuple[str, int, list[Phone]]] = []
        sounds = [e for e in self._events if e[0] in (_WORD, _PHONEME)]
        starts = [e[2] for e in sounds if e[0] == _PHONEME] + [end]
        count = 0
        for kind, position, _, name in sounds:
            if kind == _WORD:
                match = re.match(r"[\w']+", text[position - 1 :])
                word = match[0].strip("'").lower() if match else ""
                if not groups or groups[-1][1] != position:
                    groups.append((word, position, []))
                continue
            phone = Phone(ESPEAK_PHONES.get(name, "pau"), starts[count], starts[count + 1])
            count += 1
            phones.append(phone)
            if phone.name != "pau" and groups:
                groups[-1][2].append(phone)
        words = [self._word(word, members) for word, _, members in groups if members]
        if not phones or phones[0].start > 0:
            phones.insert(0, Phone("pau", 0.0, phones[0].start if phones else end))
        return Speech(samples, tuple(phones), tuple(words))

    def _word(self, text: str, phones: list[Phone]) -> SpokenWord:
        vowels = [p for p in phones if p.name in VOWELS] or phones
        vowel = vowels[min(self._stressed_vowel(text), len(vowels) - 1)]
        return SpokenWord(text, phones[0].start, phones[-1].end, vowel.start, vowel.end)

    @lru_cache(maxsize=20000)  # noqa: B019 - one instance lives for the whole process
    def _stressed_vowel(self, text: str) -> int:
        """Which vowel of `text` carries the primary stress."""
        pointer = c.c_char_p(text.encode())
        mnemonics = self._lib.espeak_TextToPhonemes(c.byref(pointer), _UTF8, ord("_") << 8)
        before = 0
        for name in (mnemonics or b"").decode("utf-8", "ignore").split("_"):
            if name.startswith("'"):
                return before
            before += ESPEAK_PHONES.get(name.lstrip(",%="), "pau") in VOWELS
        return 0


@lru_cache(maxsize=1)
def _flite() -> _Flite:
    return _Flite()


@lru_cache(maxsize=1)
def _espeak() -> _Espeak:
    return _Espeak()
