"""Stage `compose`: synthesises speech and places gesture clips on its stressed words.

Reads the clips of stage `retarget` and a file of sentences; writes takes of half a minute in the
format of `training.data.takes`, then `corpus.json`.

Config:
    sentences: path of a text file, one sentence per line.
    minutes, test_minutes: length of the two splits, minutes.
    seed: random seed.
    workers: processes.
    speech: folder of recorded utterances (`training.speech.utterances`); none by default.
    recorded_share: share of the takes that use them.
    determinism: variance reduction of gestures, 0 to below 1; see `Style`.
    stroke_lead_s: time by which strokes land earlier, seconds; offsets the lag of the network.
    amplitude: gain of the hands.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion.pose import FloatArray, Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp
from engine.text.words import TimedWord, normalise
from training.composer.assemble import Body, Performance, perform
from training.composer.blend import MARKERS, Clip, continuous
from training.composer.discourse import KEYWORDS, senses
from training.composer.face import FaceCues, face_track, force_of, jaw_angle
from training.composer.library import FAMILIES, ClipLibrary
from training.composer.low_variance_rng import low_variance
from training.composer.minimum_jerk import FPS
from training.composer.plan import Stress, level_of, phrases, plan_gestures, prominent_words
from training.composer.style import Style, draw_style, vary_style
from training.data.clips import load_clip, write_json
from training.data.takes import TakeFile, write_take
from training.speech.phones import FUNCTION_WORDS
from training.speech.scripts import recorded, synthetic
from training.speech.sentences import read_sentences
from training.speech.speech import Phone, Speech
from training.speech.utterances import RecordedUtterance, align_all, read_list

MAX_STROKE_LEAD_S = 0.15
MAX_AMPLITUDE = 1.5
_VOCABULARY = 1000
_MEAN_TAKE_S = 30.0
KINDS = tuple(FAMILIES)
"""Kinds of gestures; their numbers in takes are the indices plus 1."""


@dataclass(frozen=True)
class CorpusSources:
    """Inputs of the composer, and the settings that all takes share.

    Attributes:
        libraries: gesture clips by split.
        sentences: text of synthetic speech.
        recorded: recorded utterances.
        recorded_share: share of the takes that use recorded speech.
        determinism: see `Style`.
        stroke_lead_s: see `Style`, seconds.
        amplitude: factor of the style's amplitude.

    """

    libraries: Mapping[str, ClipLibrary]
    sentences: Sequence[str]
    recorded: Sequence[RecordedUtterance] = ()
    recorded_share: float = 0.0
    determinism: float = 0.0
    stroke_lead_s: float = 0.0
    amplitude: float = 1.0


@dataclass(frozen=True)
class Take:
    """Speech with its stresses, body motion and face.

    Attributes:
        speech: audio, phones and words.
        stresses: stressed words; empty for a listener.
        body: body motion.
        face: ARKit coefficients, `[T, 51]`.
        voice: name of the voice.
        split: train or test.
        speaker: name of the style.
        kinds: kind of gesture of each stress.

    """

    speech: Speech
    stresses: tuple[Stress, ...]
    body: Body
    face: FloatArray
    voice: str
    split: str
    speaker: str = ""
    kinds: tuple[str, ...] = ()


def compose_take(
    sources: CorpusSources, split: str, style: Style, rng: np.random.Generator
) -> Take:
    """Compose a take of 20 to 40 seconds with a synthetic or recorded voice."""
    readers = {item.split for item in sources.recorded}
    if split in readers and rng.random() < sources.recorded_share:
        voice, speech = recorded(sources.recorded, split, rng)
    else:
        voice, speech = synthetic(sources.sentences, split, rng)
    return animate(speech, sources.libraries[split], style, Origin(voice, split), rng)


def silent_take(
    sources: CorpusSources, split: str, seconds: float, style: Style, rng: np.random.Generator
) -> Take:
    """Compose a take of idle motion without speech."""
    count = round(seconds * SAMPLE_RATE)
    speech = Speech(np.zeros(count, np.float32), (Phone("pau", 0.0, seconds),), ())
    library = sources.libraries[split]
    return animate(speech, library, style, Origin("silence", split), rng)


@dataclass(frozen=True)
class Origin:
    """Voice and split of a take."""

    voice: str
    split: str


def animate(
    speech: Speech,
    library: ClipLibrary,
    style: Style,
    origin: Origin,
    rng: np.random.Generator,
) -> Take:
    """Compose body and face of a speaker or listener of `style` for `speech`."""
    stresses = prominent_words(speech, style.stress_s)
    units = plan_gestures(speech, stresses, low_variance(rng, style.determinism), style.determinism)
    done = perform(speech, stresses, units, library, style, rng)
    face = _face(speech, stresses, done, style, rng)
    own = () if style.listens else tuple(stresses)
    kind_at = {stress: unit.kind for unit in units for stress in unit.strokes}
    kinds = tuple(kind_at[stress] for stress in own)
    return Take(speech, own, done.body, face, origin.voice, origin.split, style.name, kinds)


def _face(
    speech: Speech,
    stresses: Sequence[Stress],
    done: Performance,
    style: Style,
    rng: np.random.Generator,
) -> FloatArray:
    """Compose the face `[T, 51]` and set the body's jaw; a listener's mouth is shut."""
    rotations = done.body.rotations
    times = np.arange(len(rotations)) / FPS
    silent = Speech(speech.samples, (Phone("pau", 0.0, speech.duration),), ())
    face = face_track(_cues(silent if style.listens else speech, stresses, done), times, style, rng)
    turn = np.zeros((len(times), 3), np.float32)
    turn[:, 0] = jaw_angle(face)
    rotations[:, 22] = exp(turn)
    rotations[:, 23:25] = np.array([1, 0, 0, 0], np.float32)
    return face


def _cues(speech: Speech, stresses: Sequence[Stress], done: Performance) -> FaceCues:
    accents, ends = [], []
    for words in phrases(speech):
        word_senses = senses([word.text for word in words])
        pairs = zip(words, word_senses, strict=True)
        accents += [(word.vowel_start, sense.brows) for word, sense in pairs if sense]
        ends.append(words[-1].end)
    levels = [level_of(speech, phone.start, phone.end) for phone in speech.phones]
    own = stresses if speech.words else ()
    force = force_of(speech.phones, levels, [stress.time for stress in own])
    return FaceCues(speech.phones, force, own, done.gaze, accents, ends)


def save_take(path: Path, take: Take) -> None:
    """Write a take in the format of `training.data.takes`."""
    body, stresses = take.body, take.stresses
    poses = PoseChunk(
        0,
        body.rotations.astype(np.float32),
        body.translation.astype(np.float32),
        body.contacts.astype(np.float32),
        take.face.astype(np.float32),
    )
    record = TakeFile(
        motion=Motion(PoseFormat(clock=FrameClock(SAMPLE_RATE, FPS)), poses),
        sound=take.speech.samples,
        words=tuple(TimedWord(w.text, w.start, w.end) for w in take.speech.words if w.text.strip()),
        stressed_times=np.array([s.time for s in stresses], np.float32),
        stressed_strengths=np.array([s.strength for s in stresses], np.float32),
        voice=take.voice,
        split=take.split,
        speaker=take.speaker,
        stressed_kinds=np.array([1 + KINDS.index(kind) for kind in take.kinds], np.int64),
    )
    write_take(path, record)


def load_clips(folder: Path) -> list[Clip]:
    """Read the gesture, idle and fidget clips of stage `retarget`; ConfigError without a list."""
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


_shared: dict[str, CorpusSources] = {}


def _start_worker(
    clips: Path,
    sentences: Path,
    recordings: Sequence[RecordedUtterance],
    options: tuple[float, ...],
) -> None:
    loaded = load_clips(clips)
    libraries = {split: ClipLibrary(loaded, split) for split in ("train", "test")}
    _shared["sources"] = CorpusSources(libraries, read_sentences(sentences), recordings, *options)


def _make(job: tuple[str, int, int, str]) -> dict[str, Any]:
    split, index, seed, path = job
    rng = np.random.default_rng([seed, index, split == "test"])
    sources = _shared["sources"]
    someone = vary_style(draw_style(rng), rng)
    style = replace(
        someone,
        determinism=sources.determinism,
        stroke_lead_s=sources.stroke_lead_s,
        amplitude=sources.amplitude * someone.amplitude,
    )
    if index % 16 == 15:
        take = silent_take(sources, split, float(rng.uniform(20, 40)), style, rng)
    else:
        take = compose_take(sources, split, style, rng)
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
    """Return all gesture keywords and the most frequent words of the training takes."""
    said = (w for e in entries if e["split"] == "train" for w in e["words"])
    counts = Counter(word for word in map(normalise, said) if word)
    keys = {w for words in KEYWORDS.values() for w in words}
    frequent = [w for w, _ in counts.most_common(_VOCABULARY) if w not in keys]
    return sorted(keys) + frequent[: _VOCABULARY - len(keys)]


def _recordings(folder: Path | None) -> list[RecordedUtterance]:
    """Align the utterances of a folder; print those that cannot be aligned."""
    if folder is None:
        return []
    aligned, problems = align_all(read_list(folder))
    for problem in problems:
        print(f"compose: left out {problem}")
    minutes = sum(item.speech.duration for item in aligned) / 60
    print(f"compose: {len(aligned)} recorded utterances, {minutes:.1f} min", flush=True)
    return aligned


def _jobs(config: dict[str, Any], out: Path) -> list[tuple[str, int, int, str]]:
    seed = int(config.get("seed", 1))
    jobs = []
    for split, minutes in (
        ("train", config.get("minutes", 120)),
        ("test", config.get("test_minutes", 10)),
    ):
        count = max(1, round(float(minutes) * 60 / _MEAN_TAKE_S))
        jobs += [(split, i, seed, str(out / f"{split}_{i:03d}.npz")) for i in range(count)]
    return jobs


_RENAMED = {"habit": "determinism", "sooner_s": "stroke_lead_s"}


def _options(config: dict[str, Any]) -> tuple[float, ...]:
    """Read recorded_share, determinism, stroke_lead_s, amplitude; ConfigError for bad values."""
    for old, new in _RENAMED.items():
        if old in config:
            raise ConfigError(f"compose: key {old!r} was renamed; use {new!r}")
    share = float(config.get("recorded_share", 0.3))
    determinism = float(config.get("determinism", 0.0))
    sooner = float(config.get("stroke_lead_s", 0.0))
    if not 0.0 <= determinism < 1.0:
        raise ConfigError(f"expected determinism of 0 or more and below 1, got {determinism}")
    if not 0.0 <= sooner <= MAX_STROKE_LEAD_S:
        raise ConfigError(f"expected stroke_lead_s of 0 to {MAX_STROKE_LEAD_S}, got {sooner}")
    amplitude = float(config.get("amplitude", 1.0))
    if not 0.0 < amplitude <= MAX_AMPLITUDE:
        raise ConfigError(f"expected amplitude above 0, to {MAX_AMPLITUDE}, got {amplitude}")
    return share, determinism, sooner, amplitude


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Compose the corpus from the output `data` of stage `retarget` and write it to `out`."""
    if "sentences" not in config:
        raise ConfigError("expected the key sentences (a text file, one sentence a line)")
    options = _options(config)
    recordings = _recordings(Path(config["speech"]) if config.get("speech") else None)
    jobs, workers = _jobs(config, out), int(config.get("workers", 2))
    arguments = (data, Path(config["sentences"]), recordings, options)
    (out / "corpus.json").unlink(missing_ok=True)  # an unfinished corpus must not load
    begin = time.perf_counter()
    entries: list[dict[str, Any]] = []
    with ProcessPoolExecutor(workers, None, _start_worker, arguments) as pool:
        for entry in pool.map(_make, jobs, chunksize=4):
            entries.append(entry)
            if len(entries) % 50 == 0:
                print(f"{len(entries)} of {len(jobs)} takes", flush=True)
    _summary(entries, (time.perf_counter() - begin) * workers)
    write_json(out / "vocabulary.json", vocabulary(entries))
    for entry in entries:
        del entry["words"]
    table = {"fps": FPS, "sample_rate": SAMPLE_RATE, "kinds": list(KINDS), "takes": entries}
    write_json(out / "corpus.json", table)


def _summary(entries: Sequence[dict[str, Any]], core_s: float) -> None:
    content = sum(w not in FUNCTION_WORDS for e in entries for w in e["words"])
    seconds = sum(e["frames"] for e in entries) / FPS
    stresses = sum(e["stresses"] for e in entries)
    speakers = Counter(e["speaker"] for e in entries)
    print(f"{seconds / 60:.1f} min, {content} content words, {stresses} stresses")
    print(", ".join(f"{name}: {count} takes" for name, count in speakers.most_common()))
    print(f"{seconds / core_s:.0f} x real time per core")
