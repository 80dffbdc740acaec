"""Order and inputs of all metrics, for a bundle and its references."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.metrics.gesture_features import OUR_FEATURES, load_encoder
from bench.metrics.kinematics import Floats
from bench.starter import Numbers
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
Note = Callable[[str], None]
NETWORK, WORDLESS, SYNTHETIC, COMPOSER, TAKE, CLIPS = (
    "network", "without words", "synthetic", "composer", "real take", "real clips"
)  # fmt: skip


class Renderer(Protocol):
    """Renders parts to scenes, live with the bundle's schedule or offline."""

    def __call__(
        self, parts: list[Part], *, with_words: bool = True, offline: bool = False
    ) -> list[Scene]:
        """Render all parts in one stream."""
        ...


@dataclass(frozen=True)
class EvaluationLimits:
    """Amount of speech to evaluate, in seconds, and other limits.

    Attributes:
        live_s: live speech.
        wordless_s: speech without words.
        offline_s: speech rendered offline.
        synthetic_s: speech of synthetic voices.
        one_voice_s: the longest voice with words, repeated; tests stability without changes of
            voice.
        rounds: shifts or permutations of tests against chance.
        utterances: maximum of each reader.
        composed: evaluate the composer too.

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
    """Paths of the data.

    Attributes:
        beat2: recorded takes; None: none.
        clips: folder of the stage retarget, with recorded clips; None: none.
        fgd_weights: FGD encoder.

    """

    beat2: Path | None = None
    clips: Path | None = None
    fgd_weights: Path = OUR_FEATURES


@dataclass
class Findings:
    """Results so far.

    Attributes:
        columns: numbers by source of motion, the network first.
        scenes: scenes by source of motion.
        classes: names of the gesture classes.
        confusion: held-out clips by class `[true, found]`.

    """

    columns: dict[str, Numbers] = field(default_factory=dict)
    scenes: dict[str, list[Scene]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    confusion: Any = None


def measure(
    found: Findings,
    render: Renderer,
    parts: list[Part],
    limits: EvaluationLimits,
    sources: Sources,
    note: Note,
) -> None:
    """Add all metrics that the sources allow to `found`, which is valid after interruption."""
    begin = time.process_time()  # CPU time: independent of other load
    scenes = render(parts)
    took, length = time.process_time() - begin, sum(scene.seconds for scene in scenes)
    note(f"rendered {length:.0f} s live in {took:.0f} s of CPU time")
    found.scenes[NETWORK] = scenes
    if limits.composed and sources.clips is not None:
        found.scenes[COMPOSER] = composed(sources.clips, parts)
    if sources.beat2 is not None and (real := recorded(sources.beat2, parts)):
        found.scenes[TAKE] = real
    means = _mean_speeds(sources.beat2)
    for who, own in found.scenes.items():
        found.columns[who] = spoken(own, means, limits.rounds)
        note(f"measured: {who}")
    if limits.synthetic_s:
        easier = render(limited(synthetic_parts(limits.synthetic_s), limits.synthetic_s))
        found.columns[SYNTHETIC] = rhythm(easier, means, limits.rounds) | mouth_numbers(easier)
    found.columns[NETWORK] |= {"core seconds a second": took / length, **stability(whole(scenes))}
    found.columns[NETWORK] |= _one_voice(render, parts, limits.one_voice_s)
    if sources.clips is not None:
        clips = real_clips(sources.clips)
        few = limited([scene.part for scene in scenes], limits.offline_s)
        offline = whole(render(few, offline=True))
        _against_clips(found, few, offline, clips, sources.fgd_weights)
        note("measured: real clips")
        few = limited([scene.part for scene in with_transcript(scenes)], limits.wordless_s)
        found.scenes[WORDLESS] = render(few, with_words=False) if few else []
        _meanings(found, clips, limits.rounds)


def _one_voice(render: Renderer, parts: list[Part], seconds: float) -> Numbers:
    """Stability of the longest voice with words, if a minute or more is requested."""
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
    """Recorded clips, and the motions of the training and test split."""

    clips: list[Clip]
    training: list[Motion]
    held_out: list[Motion]


def real_clips(folder: Path) -> RealClips:
    """Gestures and idles of a folder of the stage retarget."""
    clips = load_clips(folder)
    kept = {s: [c for c in clips if c.split == s and c.use != "fidget"] for s in ("train", "test")}
    return RealClips(clips, *(clip_motions(folder, kept[split]) for split in ("train", "test")))


def _against_clips(
    found: Findings, few: list[Part], offline: Motion, clips: RealClips, weights: Path
) -> None:
    """Add metrics against recorded clips: jerk, FGD, copies.

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
    """Add rates of gesture classes; the network without words counts in its own column."""
    libraries = [ClipLibrary(clips.clips, split) for split in ("train", "test")]
    classifier = train(libraries[0])
    seen = examples(libraries[1], classifier.classes)
    found.classes, found.confusion = confusion(classifier, seen)
    for who, scenes in found.scenes.items():
        how = "without words" if who == WORDLESS else "with words"
        numbers = meaning_numbers(judged(scenes, classifier), how, rounds)
        found.columns[NETWORK if who == WORDLESS else who] |= numbers
