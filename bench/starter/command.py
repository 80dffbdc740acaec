"""`emage-bench starter`: a bundle against everything that a starter bundle has to show.

The bundle hears test readers and BEAT2's voices live, in one stream at its own schedule; beside it
stand the composer it learned from, on the same speech, and the recorded take. Needs whatever is
named; what is not named is not measured.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.metrics.kinematics import Floats
from bench.starter.body import body_numbers, clip_motions, motion_numbers
from bench.starter.endurance import copying, stability
from bench.starter.families import examples, train
from bench.starter.idling import idle_numbers
from bench.starter.likeness import distance, encoder_for, scale
from bench.starter.meaning import confusion, confusion_text, judged, meaning_numbers
from bench.starter.mouth import mouth_numbers
from bench.starter.rhythm import rhythm
from bench.starter.scenes import Scene, beginnings, composed, live, recorded, whole
from bench.starter.talks import Part, limited, read_parts
from bench.starter.targets import table, verdicts
from engine.bundle import DEFAULT_BUNDLE, Bundle
from engine.pose import Motion
from exporters.commands.common import load_for_use, say
from exporters.commands.kernels import add_kernel_option, ready_kernel
from training.composer.blend import Clip
from training.composer.compose import load_clips
from training.composer.library import ClipLibrary

Numbers = dict[str, float]


@dataclass(frozen=True)
class Extent:
    """Seconds of speech heard live, without words and offline; rounds of tests by chance."""

    live_s: float = 620.0
    wordless_s: float = 300.0
    offline_s: float = 180.0
    rounds: int = 2000
    utterances: int = 1000
    composed: bool = True


QUICK = Extent(110.0, 60.0, 40.0, 300, 16, composed=False)
_OFFLINE_HOP = 8


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    starter = commands.add_parser(
        "starter", help="everything a starter bundle has to show, live on test voices"
    )
    starter.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    starter.add_argument("--speaker", default="", metavar="NAME", help="of the bundle's speakers")
    starter.add_argument(
        "--speech", type=Path, metavar="DIR", help="read utterances with split.tsv; test ones count"
    )
    starter.add_argument(
        "--beat2", type=Path, metavar="DIR", help="sounds, TextGrids and takes to look at only"
    )
    starter.add_argument(
        "--clips", type=Path, metavar="DIR", help="the folder of stage retarget: real clips"
    )
    starter.add_argument(
        "--fgd-weights", type=Path, metavar="FILE", help="features; made there if missing"
    )
    starter.add_argument("--seconds", type=float, metavar="S", help="of live speech, at most")
    add_kernel_option(starter)
    starter.add_argument("--quick", action="store_true", help="two minutes of speech, no composer")
    starter.add_argument("--json", action="store_true", help="nothing but one JSON object")


def starter_command(options: argparse.Namespace) -> int:
    """Measure, print the table and, last, one line of JSON."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    begin = time.perf_counter()
    extent = QUICK if options.quick else Extent()
    if options.seconds is not None:
        extent = replace(extent, live_s=options.seconds)
    note = _quiet if options.json else say
    bundle = load_for_use(options.model)
    parts = limited(read_parts(options.speech, options.beat2, extent.utterances), extent.live_s)
    note(f"{sum(p.speech.duration for p in parts):.0f} s of {', '.join(p.name for p in parts)}")
    columns = measured(bundle, parts, extent, options, note)
    if not options.json:
        print(table(columns))
    result = {
        "bundle": bundle.config.name,
        "schedule": [bundle.config.schedule.hop, bundle.config.schedule.lookahead],
        "parts": {part.name: round(part.speech.duration, 1) for part in parts},
        "numbers": {who: _rounded(numbers) for who, numbers in columns.items()},
        "holds": verdicts(columns["network"]),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    print(json.dumps(result))
    return 0


def _quiet(text: str) -> None:
    del text


def _rounded(numbers: Numbers) -> dict[str, float | None]:
    return {name: float(f"{v:.5g}") if np.isfinite(v) else None for name, v in numbers.items()}


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


def measured(
    bundle: Bundle, parts: list[Part], extent: Extent, options: argparse.Namespace, note: Any
) -> dict[str, Numbers]:
    """Numbers by name of all who move: the network first."""
    perform = _performer(bundle, options, note)
    begin = time.perf_counter()
    scenes = perform(parts)
    took, length = time.perf_counter() - begin, sum(scene.seconds for scene in scenes)
    note(f"heard {length:.0f} s live in {took:.0f} s")
    means = _mean_speeds(options.beat2)
    performers = {"network": scenes}
    numbers = {"RTF": took / length, **spoken(scenes, means, extent.rounds)}
    columns = {"network": numbers | stability(whole(scenes))}
    if options.beat2 is not None and (real := recorded(options.beat2, parts)):
        columns["real take"] = spoken(real, means, extent.rounds)
        performers["real take"] = real
    if options.clips is not None:
        clips = real_clips(options.clips)
        if extent.composed:
            made = composed(options.clips, parts)
            columns["composer"] = spoken(made, means, extent.rounds)
            note("composer measured")
            performers["composer"] = made
        columns["real clips"] = motion_numbers([*clips.training, *clips.held_out])
        few = limited([scene.part for scene in scenes], extent.offline_s)
        schedule = bundle.config.schedule.with_hop(_OFFLINE_HOP, _OFFLINE_HOP)
        offline = whole(perform(few, schedule=schedule))
        _against_clips(columns, scenes, few, offline, clips, options.fgd_weights)
        note("likeness measured")
        few = limited([part for part in parts if part.told], extent.wordless_s)
        performers["without words"] = perform(few, with_words=False)
        _meanings(columns, performers, clips, extent.rounds, note)
    return columns


def _performer(
    bundle: Bundle, options: argparse.Namespace, note: Any
) -> Callable[..., list[Scene]]:
    """`live` by the bundle, speaker and kernel that the options name."""

    def perform(parts: list[Part], **how: Any) -> list[Scene]:
        schedule = how.setdefault("schedule", bundle.config.schedule)
        kernel = ready_kernel(options.kernel, bundle, schedule, note)
        return live(bundle, parts, kernel=kernel, speaker=options.speaker or 0, **how)

    return perform


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


def _against_clips(
    columns: dict[str, Numbers], scenes: list[Scene], few: list[Part], offline: Motion,
    clips: RealClips, weights: Path | None,
) -> None:  # fmt: skip
    """Add what is measured against real clips: jerk, likeness, copies.

    offline: motion to the parts `few`, the beginnings of those of the scenes.
    """
    real, own = columns["real clips"], columns["network"]
    for numbers in columns.values():
        numbers["jerk over real clips"] = numbers["jerk m/s3"] / real["jerk m/s3"]
    encoder = encoder_for(weights, clips.training)
    real |= scale(encoder, clips.training, clips.held_out)
    for who, motions in (("network", [whole(scenes)]), ("offline", [offline])):
        found = distance(encoder, motions, clips.held_out)
        own[f"FGD to held-out clips, {who}"] = found
    live_fgd = own["FGD to held-out clips, network"]
    own["FGD over that between halves"] = live_fgd / real["FGD between halves of the real clips"]
    own["FGD over that of training clips"] = (
        live_fgd / real["FGD of training clips to held-out clips"]
    )
    there = distance(encoder, [s.motion for s in beginnings(scenes, few)], clips.held_out)
    own["FGD live over offline"] = there / own["FGD to held-out clips, offline"]
    own |= copying(whole(scenes), clips.training, clips.held_out)


def _meanings(
    columns: dict[str, Numbers], performers: dict[str, list[Scene]], clips: RealClips,
    rounds: int, note: Any,
) -> None:  # fmt: skip
    """Add how often families are found; those of the network without words to its own column."""
    libraries = [ClipLibrary(clips.clips, split) for split in ("train", "test")]
    classifier = train(libraries[0])
    note("held-out clips by the classifier of families:")
    note(confusion_text(*confusion(classifier, examples(libraries[1], classifier.classes))))
    for who, scenes in performers.items():
        wordless = who == "without words"
        found = judged(scenes, classifier)
        how = "without words" if wordless else "with words"
        columns["network" if wordless else who] |= meaning_numbers(found, how, rounds)
