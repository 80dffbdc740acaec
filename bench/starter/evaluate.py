"""All measures of a bundle put together, and the same of whoever is compared with it.

Knows in which order things are measured and what each of them needs; not how the bundle is run.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.metrics.gesture_features import OUR_FEATURES, load_encoder
from bench.metrics.kinematics import Floats
from bench.starter.beat_alignment import rhythm
from bench.starter.fgd import distance, scale
from bench.starter.gesture_classifier import examples, train
from bench.starter.idle_response import idle_numbers
from bench.starter.kinematics import body_numbers, clip_motions, motion_numbers
from bench.starter.lip_sync import mouth_numbers
from bench.starter.renderings import Scene, beginnings, composed, recorded, whole, with_transcript
from bench.starter.semantics import confusion, judged, meaning_numbers
from bench.starter.speech_set import Part, limited, synthetic_parts
from bench.starter.stability import copying, stability
from engine.motion.pose import Motion
from training.composer.blend import Clip
from training.composer.compose import load_clips
from training.composer.library import ClipLibrary

ONE_VOICE_LEAST_S = 60.0
Numbers = dict[str, float]
Note = Callable[[str], None]
NETWORK, WORDLESS, SYNTHETIC, COMPOSER, TAKE, CLIPS = (
    "network", "without words", "synthetic", "composer", "real take", "real clips"
)  # fmt: skip


class Renderer(Protocol):
    """The bundle that is measured: parts to scenes, live at its own schedule or offline."""

    def __call__(
        self, parts: list[Part], *, with_words: bool = True, offline: bool = False
    ) -> list[Scene]:
        """One stream over all parts."""
        ...


@dataclass(frozen=True)
class Extent:
    """Seconds of speech heard live, without words, offline and of synthetic voices.

    one_voice_s: of the longest voice with words alone, again and again: who talks evenly must move
    evenly. rounds: of tests by chance. utterances: of each reader, at most. composed: whether the
    composer moves to all of it, too.
    """

    live_s: float = 620.0
    wordless_s: float = 300.0
    offline_s: float = 180.0
    synthetic_s: float = 0.0
    one_voice_s: float = 600.0
    rounds: int = 2000
    utterances: int = 1000
    composed: bool = True


@dataclass(frozen=True)
class Sources:
    """Where recorded takes, real clips (the folder of stage retarget) and features of FGD lie."""

    beat2: Path | None = None
    clips: Path | None = None
    fgd_weights: Path = OUR_FEATURES


@dataclass
class Findings:
    """Numbers by who moved, the network first; held-out clips by their classes `[true, found]`."""

    columns: dict[str, Numbers] = field(default_factory=dict)
    scenes: dict[str, list[Scene]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    confusion: Any = None


def measure(
    found: Findings,
    render: Renderer,
    parts: list[Part],
    extent: Extent,
    sources: Sources,
    note: Note,
) -> None:
    """Add everything that the sources allow to `found`, where it stays if this is broken off."""
    begin = time.process_time()  # of this process alone: the machine may have other work
    scenes = render(parts)
    took, length = time.process_time() - begin, sum(scene.seconds for scene in scenes)
    note(f"heard {length:.0f} s live in {took:.0f} s of a core")
    found.scenes[NETWORK] = scenes
    if extent.composed and sources.clips is not None:
        found.scenes[COMPOSER] = composed(sources.clips, parts)
    if sources.beat2 is not None and (real := recorded(sources.beat2, parts)):
        found.scenes[TAKE] = real
    means = _mean_speeds(sources.beat2)
    for who, own in found.scenes.items():
        found.columns[who] = spoken(own, means, extent.rounds)
        note(f"measured: {who}")
    if extent.synthetic_s:
        easier = render(limited(synthetic_parts(extent.synthetic_s), extent.synthetic_s))
        found.columns[SYNTHETIC] = rhythm(easier, means, extent.rounds) | mouth_numbers(easier)
    found.columns[NETWORK] |= {"core seconds a second": took / length, **stability(whole(scenes))}
    found.columns[NETWORK] |= _one_voice(render, parts, extent.one_voice_s)
    if sources.clips is not None:
        clips = real_clips(sources.clips)
        few = limited([scene.part for scene in scenes], extent.offline_s)
        offline = whole(render(few, offline=True))
        _against_clips(found, few, offline, clips, sources.fgd_weights)
        note("measured: real clips")
        few = limited([scene.part for scene in with_transcript(scenes)], extent.wordless_s)
        found.scenes[WORDLESS] = render(few, with_words=False) if few else []
        _meanings(found, clips, extent.rounds)


def _one_voice(render: Renderer, parts: list[Part], seconds: float) -> Numbers:
    """How even the longest voice with words is, if it is to be heard for a minute or more."""
    known = [part for part in parts if part.has_transcript]
    if seconds < ONE_VOICE_LEAST_S or not known:
        return {}
    longest = max(known, key=lambda part: part.speech.duration)
    scenes = render([longest] * math.ceil(seconds / longest.speech.duration))
    return {f"one voice: {name}": value for name, value in stability(whole(scenes)).items()}


def spoken(scenes: list[Scene], means: Floats | None, rounds: int) -> Numbers:
    """All numbers of motion to speech."""
    return {
        **rhythm(scenes, means, rounds),
        **mouth_numbers(scenes),
        **body_numbers(scenes),
        **idle_numbers(scenes),
    }


def _mean_speeds(beat2: Path | None) -> Floats | None:
    path = None if beat2 is None else beat2 / "mean_vel_smplxflame_30.npy"
    return np.load(path, allow_pickle=False) if path is not None and path.is_file() else None


@dataclass(frozen=True)
class RealClips:
    """Clips of real people, those that may be trained on and those held out."""

    clips: list[Clip]
    training: list[Motion]
    held_out: list[Motion]


def real_clips(folder: Path) -> RealClips:
    """The gestures and idles of a folder of stage retarget."""
    clips = load_clips(folder)
    kept = {s: [c for c in clips if c.split == s and c.use != "fidget"] for s in ("train", "test")}
    return RealClips(clips, *(clip_motions(folder, kept[split]) for split in ("train", "test")))


def _against_clips(
    found: Findings, few: list[Part], offline: Motion, clips: RealClips, weights: Path
) -> None:
    """Add what is measured against real clips: jerk, likeness, copies.

    offline: the network's motion to the parts `few`, which are the beginnings of its own.
    """
    columns, held_out = found.columns, clips.held_out
    real = columns[CLIPS] = motion_numbers([*clips.training, *held_out])
    encoder, _ = load_encoder(weights)
    real |= scale(encoder, clips.training, held_out)
    halves = real["FGD between halves of the real clips"]
    for who, scenes in found.scenes.items():
        own, motion = columns[who], whole(scenes)
        own["jerk over real clips"] = own["jerk m/s3"] / real["jerk m/s3"]
        own["FGD to held-out clips"] = distance(encoder, [motion], held_out)
        own["FGD over that between halves"] = own["FGD to held-out clips"] / halves
        own |= copying([motion], clips.training)
    real |= copying(held_out, clips.training)
    if TAKE in columns:
        columns[NETWORK]["jerk over the real take"] = (
            columns[NETWORK]["jerk m/s3"] / columns[TAKE]["jerk m/s3"]
        )
    known = real["FGD of training clips to held-out clips"]
    columns[NETWORK]["FGD over that of training clips"] = (
        columns[NETWORK]["FGD to held-out clips"] / known
    )
    own = columns[NETWORK]
    own["FGD offline"] = distance(encoder, [offline], held_out)
    there = [scene.motion for scene in beginnings(found.scenes[NETWORK], few)]
    own["FGD live over offline"] = distance(encoder, there, held_out) / own["FGD offline"]


def _meanings(found: Findings, clips: RealClips, rounds: int) -> None:
    """Add how often families are found; those of the network without words to its own column."""
    libraries = [ClipLibrary(clips.clips, split) for split in ("train", "test")]
    classifier = train(libraries[0])
    seen = examples(libraries[1], classifier.classes)
    found.classes, found.confusion = confusion(classifier, seen)
    for who, scenes in found.scenes.items():
        how = "without words" if who == WORDLESS else "with words"
        numbers = meaning_numbers(judged(scenes, classifier), how, rounds)
        found.columns[NETWORK if who == WORDLESS else who] |= numbers
