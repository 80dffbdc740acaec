"""Speech from flite through its C library: recorded voices, in this process.

flite gives word, syllable stress and accent of every phone. Output is deterministic: its dither
uses the C library's random numbers, which are seeded before each call.
"""

import ctypes as c
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError
from engine.motion.pose import FloatArray
from training.speech.phones import VOWELS
from training.speech.speech import Phone, Speech, SpokenWord


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
    """Bindings of flite: synthesises an utterance and reads its segments."""

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
            samples = np.ctypeslib.as_array(wave.samples, (wave.count,)) / np.float32(32768)
            rate, rows = int(wave.rate), self._segments(utterance)
        finally:
            self._lib.delete_utterance(utterance)
        if rate != SAMPLE_RATE:
            raise ConfigError(f"expected a 16 kHz voice, got {name} at {rate} Hz")
        return _from_segments(samples.astype(np.float32), rows)

    def _segments(self, utterance: int) -> list[dict[str, str]]:
        item = self._lib.relation_head(self._lib.utt_relation(utterance, b"Segment"))
        rows = []
        while item:
            name, time = self._lib.flite_ffeature_string, self._lib.flite_ffeature_float
            row = {k: name(item, f.encode()).decode() for k, f in _NAMES.items()}
            # flite aborts the process if a number is read as a string.
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


@lru_cache(maxsize=1)
def _flite() -> _Flite:
    return _Flite()


def speak(text: str, name: str, tempo: float) -> Speech:
    """Synthesise `text` by the voice `name` (slt, rms, ...); ConfigError if that fails."""
    engine = _flite()
    _library("libc.so.6").srand(1)
    return engine(text, name, tempo)
