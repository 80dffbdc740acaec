"""Test speech: utterances of test readers and recordings of BEAT2, voice by voice.

Every voice is one part: its utterances joined with pauses as in the corpus, with the times of
words, phones and stressed vowels if the text is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.quality.motion_files import sound_files, word_files
from bench.quality.sync_test import held_out_speech
from engine.audio import SAMPLE_RATE
from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.text.files import read_phones, read_words
from engine.text.words import TimedWord, normalise
from training.composer.plan import Stress, prominent_words
from training.speech.phones import SHAPES, VOWELS
from training.speech.scripts import joined
from training.speech.speech import Phone, Speech, SpokenWord
from training.speech.utterances import align_all, read_list, read_sound

_WHOLE = SAMPLE_RATE // 10
"""Parts have a multiple of 0.1 s, so that each starts with a frame at 30 fps."""
_GAP_S = 0.04  # shorter silences between phones are closures of stops


@dataclass(frozen=True)
class Part:
    """One voice and its speech.

    Attributes:
        name: name of the voice.
        speech: audio, phones and words.
        has_transcript: words and phones are known.

    """

    name: str
    speech: Speech
    has_transcript: bool = True

    @property
    def words(self) -> tuple[TimedWord, ...]:
        """Words as input of a stream; seconds from the start of the part."""
        return tuple(TimedWord(w.text, w.start, w.end) for w in self.speech.words)

    @property
    def stresses(self) -> list[Stress]:
        """Prominent content words, as the composer finds them."""
        return prominent_words(self.speech)

    def frames(self, clock: FrameClock) -> int:
        """Number of frames."""
        return clock.frames_complete(len(self.speech.samples))


def read_parts(
    speech: Path | None, beat2: Path | None, most: int = 1000, seed: int = 0
) -> list[Part]:
    """Test readers of a folder with split.tsv, then BEAT2's takes, then readers without text.

    most: maximum of utterances per reader. ConfigError without any voice.
    """
    readers, without_text = ([], []) if speech is None else _readers(speech, most, seed)
    parts = [*readers, *([] if beat2 is None else _recordings(beat2)), *without_text]
    if not parts:
        raise ConfigError(
            "expected test voices: a folder with split.tsv (--speech), or sounds with TextGrids "
            "(--beat2)"
        )
    return [replace(part, speech=_whole(part.speech)) for part in parts]


def _readers(folder: Path, most: int, seed: int) -> tuple[list[Part], list[Part]]:
    rng = np.random.default_rng(seed)
    listed = [item for item in read_list(folder) if item.split == "test"]
    names = sorted({item.reader for item in listed})
    few = [u for name in names for u in [item for item in listed if item.reader == name][:most]]
    aligned, _ = align_all(few)
    parts = []
    for reader in sorted({item.reader for item in aligned}):
        pieces = [item.speech for item in aligned if item.reader == reader]
        parts.append(Part(reader, joined(pieces, rng)))
    without_text = []
    for reader, sounds in _without_text(folder).items():
        pieces = [Speech(read_sound(path), (), ()) for path in sounds[:most]]
        without_text.append(Part(f"{reader}, no text", joined(pieces, rng), has_transcript=False))
    return parts, without_text


def _without_text(folder: Path) -> dict[str, list[Path]]:
    """Audio files of test utterances without transcript, by reader."""
    rows = [line.split("\t") for line in (folder / "split.tsv").read_text("utf-8").splitlines()]
    found: dict[str, list[Path]] = {}
    for reader, name, split, *text in rows[1:]:
        path = folder / reader / f"{name}.flac"
        if split == "test" and not "".join(text).strip() and path.is_file():
            found.setdefault(reader, []).append(path)
    return found


def _recordings(folder: Path) -> list[Part]:
    sounds, grids = sound_files(folder), word_files(folder)
    return [
        Part(name, speech_of(read_sound(sounds[name]), read_words(grids[name]), phones))
        for name in sorted({*sounds} & {*grids})
        if (phones := read_phones(grids[name]))
    ]


def speech_of(
    samples: np.ndarray, words: Sequence[TimedWord], phones: Sequence[TimedWord]
) -> Speech:
    """Speech of a recording with ARPAbet phones: EH1 is a stressed vowel.

    samples: `[S]` at 16 kHz. Phones without a viseme (noises) count as silence.
    """
    spoken = []
    for word in words:
        own = [p for p in phones if word.start_s - 1e-6 <= p.start_s < word.end_s - 1e-6]
        vowels = [p for p in own if _plain(p) in VOWELS]
        stressed = [p for p in vowels if p.text.endswith("1")]
        vowel = next(iter([*stressed, *vowels, *own, word]))
        text = normalise(word.text)
        if text:
            times = (word.start_s, word.end_s, vowel.start_s, vowel.end_s)
            spoken.append(SpokenWord(text, *times))
    known = [Phone(_plain(p), p.start_s, p.end_s) for p in phones if _plain(p) in SHAPES]
    return Speech(samples, tuple(with_pauses(known, len(samples) / SAMPLE_RATE)), tuple(spoken))


def _plain(phone: TimedWord) -> str:
    return phone.text.strip().lower().rstrip("0123456789")


def with_pauses(phones: Sequence[Phone], seconds: float) -> list[Phone]:
    """Phones with `pau` in the gaps, from 0 to `seconds`."""
    result: list[Phone] = []
    at = 0.0
    for phone in [*phones, Phone("pau", seconds, seconds)]:
        if phone.start - at > _GAP_S:
            result.append(Phone("pau", at, phone.start))
        if phone.end > phone.start and phone.name != "pau":
            result.append(phone)
        at = max(at, phone.end)
    return result


def _whole(speech: Speech) -> Speech:
    rest = -len(speech.samples) % _WHOLE
    samples = np.concatenate([speech.samples, np.zeros(rest, np.float32)])
    return replace(speech, samples=samples)


def synthetic_parts(seconds: float) -> list[Part]:
    """Held-out sentences by the synthetic test voices."""
    spoken = enumerate(held_out_speech(seconds))
    return [Part(f"synthetic {number}", _whole(speech)) for number, speech in spoken]


def limited(parts: Sequence[Part], seconds: float) -> list[Part]:
    """Beginning of each part, together about `seconds` long."""
    total = sum(part.speech.duration for part in parts)
    if total <= seconds:
        return list(parts)
    return [until(part, part.speech.duration * seconds / total) for part in parts]


def until(part: Part, seconds: float) -> Part:
    """The first `seconds` of a part, in multiples of 0.1 s, without partial words and phones."""
    samples = part.speech.samples[: int(seconds * SAMPLE_RATE) // _WHOLE * _WHOLE]
    end = len(samples) / SAMPLE_RATE
    words = tuple(w for w in part.speech.words if w.end <= end)
    phones = tuple(p for p in part.speech.phones if p.end <= end)
    return replace(part, speech=Speech(samples, phones, words))
