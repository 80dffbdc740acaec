"""Writes corpora of recorded takes: motion, sound and words cut to one length.

Readers of data sets supply `RecordedTake`s; takes with errors are reported and skipped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.source import WavSource
from engine.errors import ConfigError, GestureError
from engine.motion.pose import FloatArray, Motion
from engine.text.words import TimedWord
from training.composer.compose import vocabulary
from training.composer.plan import Stress, prominent_words
from training.data.clips import write_json
from training.data.parallel import in_order
from training.data.running_stats import Totals, no_totals, totals_of, write_totals
from training.data.takes import Missing, TakeFile, write_take
from training.sources.resample import shortened
from training.speech.phones import VOWELS
from training.speech.speech import Phone, Speech, SpokenWord

_REPORT_EVERY = 50
_APART_S = 1.0  # larger differences in length of motion and sound are reported


@dataclass(frozen=True)
class Problem:
    """A problem with one take."""

    name: str
    text: str


@dataclass(frozen=True)
class RecordedTake:
    """A take as read from a data set.

    Attributes:
        name: name without a suffix.
        voice: speaker.
        split: train, test or another split.
        motion: motion.
        sound: audio file; None without one.
        words: timed words.
        phones: timed phones.
        face: true if the motion has a face.

    """

    name: str
    voice: str
    split: str
    motion: Motion
    sound: Path | None = None
    words: Sequence[TimedWord] = ()
    phones: Sequence[TimedWord] = ()
    face: bool = True


class Named(Protocol):
    """A take to be read."""

    @property
    def name(self) -> str:
        """Its name, without a suffix."""
        ...

    @property
    def split(self) -> str:
        """Split: train, test or another name of the data set."""
        ...


Job = TypeVar("Job", bound=Named)
Loaded = tuple[TakeFile, list[Problem]]


def take_of(found: RecordedTake) -> Loaded:
    """Cut motion and sound to the shorter one; AudioError if the sound cannot be read."""
    motion, clock = found.motion, found.motion.format.clock
    missing = [] if found.face else [Missing.FACE]
    if not found.words:
        missing.append(Missing.WORDS)
    if found.sound is None:
        sound = np.zeros(clock.first_sample(len(motion)), np.float32)
        missing.append(Missing.SOUND)
    else:
        blocks = WavSource(found.sound, block=SAMPLE_RATE).blocks()
        sound = np.concatenate([block.samples for block in blocks])
    longer_s = len(motion) / clock.frame_rate - len(sound) / SAMPLE_RATE
    problems = []
    if abs(longer_s) > _APART_S:
        problems.append(Problem(found.name, f"the motion is {longer_s:+.1f} s longer than sound"))
    motion = shortened(motion, clock.frames_complete(len(sound)))
    sound = sound[: clock.first_sample(len(motion))]
    stresses = stresses_of(sound, found.words, found.phones)
    take = TakeFile(
        motion=motion,
        sound=sound,
        words=tuple(word for word in found.words if word.end_s * SAMPLE_RATE <= len(sound)),
        stressed_times=np.array([s.time for s in stresses], np.float32),
        stressed_strengths=np.array([s.strength for s in stresses], np.float32),
        voice=found.voice,
        split=found.split,
        missing=tuple(missing),
    )
    return take, problems


def stresses_of(
    sound: FloatArray, words: Sequence[TimedWord], phones: Sequence[TimedWord]
) -> list[Stress]:
    """Find stressed words as the composer does; none without phones."""
    spoken = tuple(_spoken(words, phones))
    inside = tuple(word for word in spoken if word.vowel_end * SAMPLE_RATE <= len(sound))
    return prominent_words(Speech(sound, _named(phones), inside)) if inside else []


def _named(phones: Sequence[TimedWord]) -> tuple[Phone, ...]:
    return tuple(Phone(p.text.rstrip("012").lower(), p.start_s, p.end_s) for p in phones)


def _unstressed(phone: TimedWord) -> int:
    """Rank of ARPAbet stress: 0 primary, 1 secondary, 2 none."""
    return {"1": 0, "2": 1}.get(phone.text[-1:], 2)


def _spoken(words: Sequence[TimedWord], phones: Sequence[TimedWord]) -> Iterator[SpokenWord]:
    """Yield words with their stressed vowel: the one marked 1, else 2, else the first."""
    vowels = [p for p in phones if p.text.rstrip("012").lower() in VOWELS]
    first = 0
    for word in words:
        while first < len(vowels) and vowels[first].end_s <= word.start_s + 1e-6:
            first += 1
        last = first
        while last < len(vowels) and vowels[last].start_s < word.end_s - 1e-6:
            last += 1
        own = sorted(vowels[first:last], key=_unstressed)
        if own:
            text = word.text.lower()
            yield SpokenWord(text, word.start_s, word.end_s, own[0].start_s, own[0].end_s)


def _make(
    files: Job, load: Callable[[Job], Loaded], out: Path
) -> tuple[dict[str, Any], list[Problem], Totals]:
    """Write one take; returns its entry in corpus.json (empty if skipped), problems, totals."""
    try:
        take, problems = load(files)
        if not len(take.motion):
            raise ConfigError("no frame has sound")
    except GestureError as error:
        return {}, [Problem(files.name, f"{error}; skipped")], no_totals()
    path = out / f"{files.split}_{files.name}.npz"
    write_take(path, take)
    # Cached features of an earlier take of that name would be used for this one.
    for stale in (out / "features").glob(f"{path.stem}_*.npy"):
        stale.unlink()
    entry = {
        "name": path.stem,
        "split": take.split,
        "voice": take.voice,
        "frames": len(take.motion),
        "words": [word.text for word in take.words],
        "stresses": len(take.stressed_times),
        "missing": [str(part) for part in take.missing],
    }
    return entry, problems, totals_of(take.motion)


def write_corpus(
    out: Path,
    jobs: Sequence[Job],
    load: Callable[[Job], Loaded],
    problems: Sequence[Problem],
    facts: Mapping[str, Any],
    workers: int,
) -> None:
    """Write all takes, vocabulary.json, statistics of the split train, and last corpus.json.

    load: picklable function that reads a job. problems: those found before. facts: further entries
    of corpus.json. ConfigError if no take can be used.
    """
    work = partial(_make, load=load, out=out)
    entries: list[dict[str, Any]] = []
    totals = no_totals()
    for number, (entry, more, sums) in enumerate(in_order(work, jobs, workers), 1):
        entries += [entry] if entry else []
        totals = totals + sums if entry and entry["split"] == "train" else totals
        problems = [*problems, *more]
        if number % _REPORT_EVERY == 0:
            print(f"{number} of {len(jobs)} takes", flush=True)
    for problem in problems:
        print(f"{problem.name}: {problem.text}", flush=True)
    if not entries:
        raise ConfigError(f"no take of {facts['data']} could be used; see the problems above")
    write_totals(out, totals)
    write_json(out / "vocabulary.json", vocabulary(entries))
    kept = [{key: value for key, value in e.items() if key != "words"} for e in entries]
    minutes = sum(e["frames"] for e in entries) / facts["fps"] / 60
    splits = {s: sum(e["split"] == s for e in entries) for s in {e["split"] for e in entries}}
    print(f"{len(entries)} takes {splits}, {minutes:.1f} min, {len(problems)} problems")
    reported = [{"name": p.name, "text": p.text} for p in problems]
    write_json(
        out / "corpus.json",
        {**facts, "sample_rate": SAMPLE_RATE, "takes": kept, "problems": reported},
    )
