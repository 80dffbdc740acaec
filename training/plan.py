"""Which words stand out and which gestures go with them: speech in, a list of gesture units out.

A live model hears no future, so the plan only asks for what a listener could know: hands rise after
a phrase has begun, a stroke follows the onset of the stressed vowel, hands sink after a pause has
lasted. Knows words and sound; of motion it knows only kinds of gestures.
"""

from dataclasses import dataclass

import numpy as np

from training.phones import FUNCTION_WORDS
from training.speech import RATE, Speech, SpokenWord

PAUSE_S = 0.25  # a silence this long ends a phrase
_SPACING_S = 0.55  # no two strokes nearer than this
_SPEECH_PER_STRESS_S = 0.95
_LONG_UNIT_S = 3.2  # a gesture unit is split when it gets longer

KEYWORDS: dict[str, tuple[str, ...]] = {
    "me": ("i", "me", "my", "mine", "myself", "i'm", "i've", "i'll", "i'd"),
    "you": ("you", "your", "yours", "yourself", "you're", "you've", "you'll"),
    "we": ("we", "us", "our", "ours", "together", "everyone", "everybody", "we're", "we'll"),
    "negative": (
        *("no", "not", "never", "nothing", "none", "nobody", "cannot", "don't", "didn't", "can't"),
        *("won't", "isn't", "wasn't", "doesn't", "couldn't", "wouldn't", "without", "refused"),
    ),
    "however": ("but", "however", "although", "though", "yet", "besides", "otherwise"),
    "point": ("this", "that", "there", "here", "these", "those", "now"),
    "think": ("think", "know", "maybe", "perhaps", "wonder", "believe", "guess", "remember"),
    "question": ("what", "why", "how", "who", "where", "which", "when"),
    "stop": ("stop", "stopped", "wait", "end", "enough", "against"),
    "big": ("big", "great", "large", "all", "whole", "every", "world", "huge", "many"),
    "example": ("example", "instance", "first", "second", "because", "so", "therefore"),
}
"""Words that ask for a kind of gesture."""


@dataclass(frozen=True)
class Stress:
    """A prominent word: the onset of its stressed vowel (s) and how strong it is, 0..1."""

    time: float
    strength: float
    word: str


@dataclass(frozen=True)
class GestureUnit:
    """Hands up, strokes, and down unless another unit follows at once. Seconds."""

    start: float
    end: float
    kind: str
    strokes: tuple[Stress, ...]
    retracts: bool


def _vowel_sound(speech: Speech, word: SpokenWord) -> tuple[float, float, float]:
    """Level in dB, log2 of the pitch in Hz and seconds of the word's stressed vowel."""
    first = int(word.vowel_start * RATE)
    last = max(int(word.vowel_end * RATE), first + RATE // 25)
    sound = np.asarray(speech.samples[first : min(last, first + RATE // 5)], np.float64)
    if len(sound) < 320:
        return -80.0, 7.0, 0.0
    level = 10 * np.log10(np.mean(np.square(sound)) + 1e-8)
    size = 2048
    spectrum = np.fft.rfft((sound - sound.mean())[: size // 2], size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[RATE // 400 : RATE // 70]
    period = RATE // 400 + int(correlation.argmax())
    return float(level), float(np.log2(RATE / period)), word.vowel_end - word.vowel_start


def _standard(x: np.ndarray, floor: float) -> np.ndarray:
    spread = np.median(np.abs(x - np.median(x))) * 1.48
    return np.clip((x - np.median(x)) / max(float(spread), floor), -2.5, 2.5)


def prominent_words(speech: Speech) -> list[Stress]:
    """Content words whose stressed vowel is loud, high or long among those of the speech.

    About one in a second of speech, none nearer to another than `_SPACING_S`.
    """
    content = [w for w in speech.words if w.text not in FUNCTION_WORDS]
    if not content:
        return []
    sounds = np.array([_vowel_sound(speech, w) for w in content])
    score = 0.7 * _standard(sounds[:, 0], 1.0) + 0.4 * _standard(sounds[:, 1], 0.08)
    score += 0.4 * _standard(sounds[:, 2], 0.02)
    score += 0.6 * np.array([w.accented for w in content])
    spoken = sum(w.end - w.start for w in speech.words)
    wanted = int(np.ceil(spoken / _SPEECH_PER_STRESS_S))
    chosen: list[int] = []
    for i in np.argsort(-score):
        near = [
            j for j in chosen if abs(content[j].vowel_start - content[i].vowel_start) < _SPACING_S
        ]
        if not near and len(chosen) < wanted:
            chosen.append(int(i))
    low, high = np.percentile(score, [15, 95])
    strength = np.clip((score - low) / max(high - low, 0.1), 0.0, 1.0)
    return [
        Stress(content[i].vowel_start, float(strength[i]), content[i].text) for i in sorted(chosen)
    ]


def phrases(speech: Speech) -> list[list[SpokenWord]]:
    """Words grouped by the silences between them."""
    result: list[list[SpokenWord]] = []
    for word in speech.words:
        if result and word.start - result[-1][-1].end < PAUSE_S:
            result[-1].append(word)
        else:
            result.append([word])
    return result


def _split(words: list[SpokenWord]) -> list[list[SpokenWord]]:
    """A long phrase in pieces, cut at its widest gaps or in its middle."""
    if words[-1].end - words[0].start <= _LONG_UNIT_S or len(words) < 4:
        return [words]
    middle = (words[0].start + words[-1].end) / 2
    gaps = [
        words[i].start - words[i - 1].end - 0.08 * abs(words[i].start - middle)
        for i in range(2, len(words) - 1)
    ]
    cut = 2 + int(np.argmax(gaps))
    return _split(words[:cut]) + _split(words[cut:])


def _kind(words: list[SpokenWord], strokes: list[Stress], rng: np.random.Generator) -> str:
    said = {w.text for w in words}
    matching = [kind for kind, keys in KEYWORDS.items() if said.intersection(keys)]
    if matching and rng.random() < 0.7:
        return str(rng.choice(matching))
    strength = float(np.mean([s.strength for s in strokes])) + 0.15 * rng.standard_normal()
    return "beat_low" if strength < 0.42 else "beat_mid" if strength < 0.68 else "beat_high"


def plan_gestures(
    speech: Speech, stresses: list[Stress], rng: np.random.Generator
) -> list[GestureUnit]:
    """Gesture units in order, one for every few seconds of a phrase."""
    units: list[GestureUnit] = []
    for phrase in phrases(speech):
        pieces = _split(phrase)
        for index, words in enumerate(pieces):
            start, end = words[0].start, words[-1].end
            strokes = [s for s in stresses if start <= s.time < end]
            last = index == len(pieces) - 1
            if strokes:
                kind = _kind(words, strokes, rng)
                units.append(GestureUnit(start, end, kind, tuple(strokes), last))
            elif units and last and index:
                before = units.pop()
                units.append(GestureUnit(before.start, end, before.kind, before.strokes, True))
    return units
