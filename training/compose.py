"""Stage `compose`: speech from a synthesiser, motion from clips placed on its stressed words.

Reads the clips of stage `retarget` and a file of sentences; writes takes of half a minute in the
format of `training.takes` and `corpus.json` last.

Config: sentences (path), minutes, test_minutes, seed, workers.
"""

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.pose import FloatArray, Motion, PoseChunk, PoseFormat
from engine.rotation import exp
from engine.text.words import TimedWord, normalise
from training.blend import MARKERS, Clip, continuous
from training.clips import load_clip, write_json
from training.discourse import KEYWORDS
from training.face import face_track, jaw_angle
from training.layers import Body, Performance, perform
from training.library import ClipLibrary
from training.moves import FPS
from training.phones import FUNCTION_WORDS
from training.plan import Stress, plan_gestures, prominent_words
from training.sentences import draw_text, read_sentences
from training.speech import RATE, Phone, Speech, SpokenWord
from training.style import LIVELY, Style, draw_style, on_a_day
from training.synthesis import Voice, synthesize
from training.takes import TakeFile, write_take

TRAIN_VOICES = {
    "flite:slt": 5,
    "flite:rms": 5,
    "flite:kal16": 3,
    "espeak:en-us": 1,
    "espeak:en-us+f3": 1,
    "espeak:en-us+m3": 1,
    "espeak:en-gb-x-rp+f2": 1,
    "espeak:en-gb-scotland+m1": 1,
}
TEST_VOICES = {"flite:awb": 2, "flite:slt": 1, "flite:rms": 1, "espeak:en-us+m7": 1}
"""Voices and how often each speaks; flite:awb and espeak:en-us+m7 are not heard in training."""

_VOCABULARY = 1000
_MEAN_TAKE_S = 30.0


@dataclass(frozen=True)
class Take:
    """Speech with its stresses and the body and face that go with it."""

    speech: Speech
    stresses: tuple[Stress, ...]
    body: Body
    face: FloatArray
    voice: str
    split: str
    speaker: str = ""


def _pause(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.72:
        return float(rng.uniform(0.25, 1.1))
    return float(rng.uniform(1.1, 2.0) if kind < 0.86 else rng.uniform(3.0, 6.0))


def _louder(samples: FloatArray, decibels: float) -> FloatArray:
    loud = np.sqrt(np.mean(np.square(samples[np.abs(samples) > 0.01]))) if len(samples) else 1.0
    return np.asarray(samples * (10 ** (decibels / 20) / max(float(loud), 1e-3)), np.float32)


def speak(texts: Sequence[str], voice: Voice, rng: np.random.Generator) -> Speech:
    """All texts with pauses before, between and after, as one speech."""
    pieces: list[FloatArray] = []
    phones: list[Phone] = []
    words: list[SpokenWord] = []
    at = 0.0
    level = float(rng.uniform(-24, -17))
    for text in texts:
        gap = round(_pause(rng) * RATE)
        said = synthesize(text, voice)
        pieces += [np.zeros(gap, np.float32), _louder(said.samples, level + rng.uniform(-2, 2))]
        moved = said.shifted(at + gap / RATE)
        phones += [Phone("pau", at, at + gap / RATE), *moved.phones]
        words += moved.words
        at += (gap + len(said.samples)) / RATE
    tail = round(rng.uniform(1.0, 3.0) * RATE)
    samples = np.clip(np.concatenate([*pieces, np.zeros(tail, np.float32)]), -0.99, 0.99)
    return Speech(samples, tuple(phones), tuple(words))


def _voice(test: bool, rng: np.random.Generator) -> Voice:
    voices = TEST_VOICES if test else TRAIN_VOICES
    weights = np.array(list(voices.values()), float)
    name = str(rng.choice(list(voices), p=weights / weights.sum()))
    return Voice(name, float(rng.uniform(0.88, 1.18)), float(rng.uniform(0.86, 1.18)))


def compose_take(
    sentences: Sequence[str],
    library: ClipLibrary,
    split: str,
    rng: np.random.Generator,
    style: Style = LIVELY,
) -> Take:
    """One take of 20 to 40 seconds."""
    test = split == "test"
    voice = _voice(test, rng)
    texts: list[str] = []
    while sum(len(t) for t in texts) < rng.uniform(200, 420):
        texts.append(draw_text(sentences, test, rng))
    speech = speak(texts, voice, rng)
    return move_to(speech, library, style, Origin(voice.name, split), rng)


def silent_take(
    library: ClipLibrary,
    split: str,
    seconds: float,
    rng: np.random.Generator,
    style: Style = LIVELY,
) -> Take:
    """Nobody speaks: idle."""
    count = round(seconds * RATE)
    speech = Speech(np.zeros(count, np.float32), (Phone("pau", 0.0, seconds),), ())
    return move_to(speech, library, style, Origin("silence", split), rng)


@dataclass(frozen=True)
class Origin:
    """Where a take comes from: the voice that is heard, and train or test."""

    voice: str
    split: str


def move_to(
    speech: Speech,
    library: ClipLibrary,
    style: Style,
    origin: Origin,
    rng: np.random.Generator,
) -> Take:
    """Somebody of `style` who says `speech`, or listens to it."""
    stresses = prominent_words(speech, style.stress_s)
    units = plan_gestures(speech, stresses, rng)
    done = perform(speech, stresses, units, library, style, rng)
    face = _face(speech, stresses, done, style, rng)
    own = () if style.listens else tuple(stresses)
    return Take(speech, own, done.body, face, origin.voice, origin.split, style.name)


def _face(
    speech: Speech,
    stresses: Sequence[Stress],
    done: Performance,
    style: Style,
    rng: np.random.Generator,
) -> FloatArray:
    """The face `[T, 51]`; turns the jaw joint of the body with it."""
    rotations = done.body.rotations
    times = np.arange(len(rotations)) / FPS
    face = face_track(speech.phones, list(stresses), times, rng)
    turn = np.zeros((len(times), 3), np.float32)
    turn[:, 0] = jaw_angle(face)
    rotations[:, 22] = exp(turn)
    rotations[:, 23:25] = np.array([1, 0, 0, 0], np.float32)
    return face


def save_take(path: Path, take: Take) -> None:
    """Write a take in the format of `training.takes`."""
    body, stresses = take.body, take.stresses
    poses = PoseChunk(
        0,
        body.rotations.astype(np.float32),
        body.translation.astype(np.float32),
        body.contacts.astype(np.float32),
        take.face.astype(np.float32),
    )
    record = TakeFile(
        motion=Motion(PoseFormat(clock=FrameClock(RATE, FPS)), poses),
        sound=take.speech.samples,
        words=tuple(TimedWord(w.text, w.start, w.end) for w in take.speech.words if w.text.strip()),
        stressed_times=np.array([s.time for s in stresses], np.float32),
        stressed_strengths=np.array([s.strength for s in stresses], np.float32),
        voice=take.voice,
        split=take.split,
        speaker=take.speaker,
    )
    write_take(path, record)


def load_clips(folder: Path) -> list[Clip]:
    """The idle and gesture clips of stage `retarget`; ConfigError where there are none."""
    table = folder / "clips.json"
    if not table.is_file():
        raise ConfigError(f"expected {table}; run the stage retarget first")
    clips = []
    for entry in json.loads(table.read_text()):
        if entry["use"] not in ("gesture", "idle", "fidget"):
            continue
        motion, _ = load_clip(folder / "clips" / f"{entry['name']}.npz")
        poses, known = motion.poses, entry.get("times") or {}
        names = {k: entry[k] for k in ("name", "use", "split", "family", "hand", "actor")}
        times = tuple(known[m] for m in MARKERS) if all(m in known for m in MARKERS) else ()
        clip = Clip(
            rotations=poses.rotations, translation=poses.translation, contacts=poses.contacts,
            times=times, **names,
        )  # fmt: skip
        clips.append(replace(clip, rotations=continuous(clip.rotations)))
    return clips


_shared: dict[str, Any] = {}


def _start_worker(clips: Path, sentences: Path) -> None:
    loaded = load_clips(clips)
    _shared["libraries"] = {s: ClipLibrary(loaded, s) for s in ("train", "test")}
    _shared["sentences"] = read_sentences(sentences)


def _make(job: tuple[str, int, int, str]) -> dict[str, Any]:
    split, index, seed, path = job
    rng = np.random.default_rng([seed, index, split == "test"])
    library = _shared["libraries"][split]
    style = on_a_day(draw_style(rng), rng)
    if index % 16 == 15:
        take = silent_take(library, split, float(rng.uniform(20, 40)), rng, style)
    else:
        take = compose_take(_shared["sentences"], library, split, rng, style)
    save_take(Path(path), take)
    return {
        "name": Path(path).stem,
        "split": split,
        "voice": take.voice,
        "speaker": take.speaker,
        "frames": len(take.face),
        "words": [w.text for w in take.speech.words],
        "stresses": len(take.stresses),
    }


def vocabulary(entries: Sequence[dict[str, Any]]) -> list[str]:
    """The most frequent words of the training takes, and every word that asks for a gesture."""
    said = (w for e in entries if e["split"] == "train" for w in e["words"])
    counts = Counter(word for word in map(normalise, said) if word)
    keys = {w for words in KEYWORDS.values() for w in words}
    frequent = [w for w, _ in counts.most_common(_VOCABULARY) if w not in keys]
    return sorted(keys) + frequent[: _VOCABULARY - len(keys)]


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Compose the corpus: `data` is the folder of stage `retarget`, `out` gets the takes."""
    if "sentences" not in config:
        raise ConfigError("expected the key sentences (a text file, one sentence a line)")
    seed = int(config.get("seed", 1))
    jobs = []
    for split, minutes in (
        ("train", config.get("minutes", 120)),
        ("test", config.get("test_minutes", 10)),
    ):
        count = max(1, round(float(minutes) * 60 / _MEAN_TAKE_S))
        jobs += [(split, i, seed, str(out / f"{split}_{i:03d}.npz")) for i in range(count)]
    entries: list[dict[str, Any]] = []
    arguments = (data, Path(config["sentences"]))
    with ProcessPoolExecutor(int(config.get("workers", 2)), None, _start_worker, arguments) as pool:
        for entry in pool.map(_make, jobs, chunksize=4):
            entries.append(entry)
            if len(entries) % 50 == 0:
                print(f"{len(entries)} of {len(jobs)} takes", flush=True)
    write_json(out / "vocabulary.json", vocabulary(entries))
    content = sum(w not in FUNCTION_WORDS for e in entries for w in e["words"])
    seconds = sum(e["frames"] for e in entries) / FPS
    stresses = sum(e["stresses"] for e in entries)
    print(f"{seconds / 60:.1f} min, {content} content words, {stresses} stresses")
    for entry in entries:
        del entry["words"]
    write_json(out / "corpus.json", {"fps": FPS, "sample_rate": RATE, "takes": entries})
