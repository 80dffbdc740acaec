"""Gesture planning: finds stressed words in speech and groups them into gesture units.

A live model has no look-ahead, so the plan is causal: hands rise after a phrase starts, a stroke
follows the onset of the stressed vowel, hands retract after a pause has lasted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.audio import SAMPLE_RATE
from training.composer.discourse import STRONG, WEIGHTS, Sense, sense_at, senses
from training.speech.phones import FUNCTION_WORDS
from training.speech.speech import Speech, SpokenWord

PAUSE_S = 0.25  # shortest silence that ends a phrase
_SPACING_S = 0.5  # minimum distance between strokes
SPEECH_PER_STRESS_S = 0.95
_MORE = np.array([0.6, 0.4])  # probabilities of one and of two further strokes in a unit


@dataclass(frozen=True)
class Stress:
    """A stressed word.

    Attributes:
        time: onset of the stressed vowel, seconds.
        strength: prominence, 0..1.
        word: text.

    """

    time: float
    strength: float
    word: str


@dataclass(frozen=True)
class GestureUnit:
    """Consecutive strokes of one kind, made with one clip.

    Attributes:
        start: earliest preparation of resting hands, seconds.
        end: end of its words, seconds.
        kind: kind of gesture.
        strokes: stresses that are marked.
        silence: silence after the unit, seconds; 0 within a phrase.
        rest_s: time from the last stroke to the next one or to the end of the phrase, seconds.
        hand: left, right or both; empty for no preference.
        amplitude: factor of the style's amplitude.

    """

    start: float
    end: float
    kind: str
    strokes: tuple[Stress, ...]
    silence: float = 0.0
    rest_s: float = 0.0
    hand: str = ""
    amplitude: float = 1.0


def level_of(speech: Speech, start: float, end: float) -> float:
    """Level of speech from `start` to `end` (seconds), dB of full scale."""
    sound = np.asarray(
        speech.samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)], np.float64
    )
    return float(10 * np.log10(np.mean(np.square(sound)) + 1e-8)) if len(sound) else -80.0


def _vowel_sound(speech: Speech, word: SpokenWord) -> tuple[float, float, float]:
    """Measure the word's stressed vowel: level (dB), log2 of pitch (Hz), duration (seconds)."""
    first = int(word.vowel_start * SAMPLE_RATE)
    last = min(
        max(int(word.vowel_end * SAMPLE_RATE), first + SAMPLE_RATE // 25), first + SAMPLE_RATE // 5
    )
    sound = np.asarray(speech.samples[first:last], np.float64)
    if len(sound) < 320:
        return -80.0, 7.0, 0.0
    level = level_of(speech, first / SAMPLE_RATE, last / SAMPLE_RATE)
    size = 2048
    spectrum = np.fft.rfft((sound - sound.mean())[: size // 2], size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[SAMPLE_RATE // 400 : SAMPLE_RATE // 70]
    period = SAMPLE_RATE // 400 + int(correlation.argmax())
    return level, float(np.log2(SAMPLE_RATE / period)), word.vowel_end - word.vowel_start


def _standard(x: np.ndarray, floor: float) -> np.ndarray:
    spread = np.median(np.abs(x - np.median(x))) * 1.48
    return np.clip((x - np.median(x)) / max(float(spread), floor), -2.5, 2.5)


def prominent_words(speech: Speech, every_s: float = SPEECH_PER_STRESS_S) -> list[Stress]:
    """Select content words whose stressed vowel is relatively loud, high or long.

    At most one per `every_s` seconds of speech, at least `_SPACING_S` apart.
    """
    content = [w for w in speech.words if w.text not in FUNCTION_WORDS]
    if not content:
        return []
    sounds = np.array([_vowel_sound(speech, w) for w in content])
    score = 0.7 * _standard(sounds[:, 0], 1.0) + 0.4 * _standard(sounds[:, 1], 0.08)
    score += 0.4 * _standard(sounds[:, 2], 0.02)
    score += 0.6 * np.array([w.accented for w in content])
    spoken = sum(w.end - w.start for w in speech.words)
    wanted = int(np.ceil(spoken / every_s))
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
    """Group words into phrases separated by pauses."""
    result: list[list[SpokenWord]] = []
    for word in speech.words:
        if result and word.start - result[-1][-1].end < PAUSE_S:
            result[-1].append(word)
        else:
            result.append([word])
    return result


def _beat(stress: Stress, rng: np.random.Generator) -> str:
    strength = stress.strength + 0.2 * rng.standard_normal()
    return "beat_low" if strength < 0.35 else "beat_mid" if strength < 0.7 else "beat_high"


def _index_at(words: Sequence[SpokenWord], time: float) -> int:
    return max(0, int(np.searchsorted([w.end for w in words], time, side="right")))


def _raise_probability(likely: float, determinism: float) -> float:
    return likely + (1.0 - likely) * determinism


def _draw_senses(
    words: Sequence[SpokenWord],
    strokes: Sequence[Stress],
    rng: np.random.Generator,
    determinism: float,
) -> list[Sense | None]:
    """Draw the sense of each stress of a phrase; None for a beat."""
    found = senses([w.text for w in words])
    drawn_senses: list[Sense | None] = []
    for stress in strokes:
        sense = sense_at(found, min(_index_at(words, stress.time), len(words) - 1))
        drawn = sense is not None and rng.random() < _raise_probability(
            WEIGHTS[sense.kind], determinism
        )
        # Equal senses are joined by `_grouped`.
        drawn_senses.append(sense if drawn else None)
    return drawn_senses


def _grouped(
    drawn_senses: Sequence[Sense | None], rng: np.random.Generator, determinism: float
) -> list[list[int]]:
    """Group indices of stresses into gesture units of one to three strokes."""
    groups: list[list[int]] = []
    room = 0
    for index, sense in enumerate(drawn_senses):
        same = bool(groups) and (sense is None or sense == drawn_senses[groups[-1][0]])
        if same and room > 0:
            groups[-1].append(index)
            room -= 1
        else:
            groups.append([index])
            # A semantic gesture is often followed by a beat of the same hands.
            alone = _raise_probability(0.45 if sense else 0.3, determinism)
            room = int(rng.choice([0, 1, 2], p=[alone, *(_MORE * (1.0 - alone))]))
    return groups


def plan_gestures(
    speech: Speech, stresses: Sequence[Stress], rng: np.random.Generator, determinism: float = 0.0
) -> list[GestureUnit]:
    """Plan gesture units in order; every stress belongs to one. determinism: see `Style`."""
    units: list[GestureUnit] = []
    spoken = phrases(speech)
    for number, words in enumerate(spoken):
        start, end = words[0].start, words[-1].end
        upcoming = spoken[number + 1][0].start if number + 1 < len(spoken) else speech.duration + 9
        strokes = [s for s in stresses if start <= s.time < end]
        drawn_senses = _draw_senses(words, strokes, rng, determinism)
        wide = float(np.exp(rng.normal(0.0, 0.1)))
        groups = _grouped(drawn_senses, rng, determinism)
        for place, group in enumerate(groups):
            last = place + 1 == len(groups)
            sense = drawn_senses[group[0]]
            final = strokes[group[-1]].time
            following = end if last else strokes[groups[place + 1][0]].time
            emphatic = any(s.word in STRONG for s in (strokes[i] for i in group))
            units.append(
                GestureUnit(
                    start=start,
                    end=end if last else final,
                    kind=sense.kind if sense else _beat(strokes[group[0]], rng),
                    strokes=tuple(strokes[i] for i in group),
                    silence=upcoming - end if last else 0.0,
                    rest_s=following - final,
                    hand=sense.hand if sense else "",
                    amplitude=wide * (1.2 if emphatic else 1.0),
                )
            )
        if units and not groups:
            units[-1] = replace(units[-1], end=end, silence=upcoming - end)
    return units
