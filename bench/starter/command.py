"""`emage-bench starter`: a bundle against everything that a starter bundle has to show.

The bundle hears test readers and BEAT2's voices live, in one stream at its own schedule; beside it
stand the composer it learned from, on the same speech, and the recorded take. Needs whatever is
named; what is not named is not measured.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.metrics.gesture_features import OUR_FEATURES
from bench.starter.evaluate import NETWORK, Extent, Findings, Numbers, Perform, Sources, measure
from bench.starter.renderings import Scene, live
from bench.starter.semantics import confusion_text
from bench.starter.speech_set import Part, limited, read_parts
from bench.starter.targets import table, verdicts
from engine.bundle.io import DEFAULT_BUNDLE, Bundle
from engine.errors import ConfigError
from engine.stream.select_step import select_step
from engine.stream.stream import GestureStream
from exporters.commands.common import add_kernel_option, load_bundle_for_cli, say

QUICK = Extent(110.0, 60.0, 40.0, one_voice_s=0.0, rounds=300, utterances=16, composed=False)
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
        "--fgd-weights",
        type=Path,
        metavar="FILE",
        default=OUR_FEATURES,
        help="features of FGD (default: our own)",
    )
    starter.add_argument("--seconds", type=float, metavar="S", help="of live speech, at most")
    starter.add_argument(
        "--synthetic", type=float, default=0.0, metavar="S", help="also seconds of synthetic voices"
    )
    add_kernel_option(starter)
    starter.add_argument("--quick", action="store_true", help="two minutes of speech, no composer")
    starter.add_argument("--json", action="store_true", help="nothing but one JSON object")


def starter_command(options: argparse.Namespace) -> int:
    """Measure, print the tables and, last, one line of JSON; broken off, what there is by then."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    begin = time.perf_counter()
    extent = QUICK if options.quick else Extent()
    extent = replace(
        extent,
        live_s=extent.live_s if options.seconds is None else options.seconds,
        synthetic_s=options.synthetic,
    )
    note = _quiet if options.json else say
    bundle = load_bundle_for_cli(options.model)
    parts = limited(read_parts(options.speech, options.beat2, extent.utterances), extent.live_s)
    note(f"{sum(p.speech.duration for p in parts):.0f} s of {', '.join(p.name for p in parts)}")
    sources = Sources(options.beat2, options.clips, options.fgd_weights)
    perform = performer(bundle, options.kernel, options.speaker)
    found, complete = Findings(), True
    try:
        measure(found, perform, parts, extent, sources, note)
    except KeyboardInterrupt:
        complete = False
        note("broken off: what follows is not all")
    if not found.columns:
        raise ConfigError("broken off before anything was measured; try --quick")
    if not options.json:
        print(table(found.columns))
        if found.classes:
            print("Held-out clips by the classifier of families:")
            print(confusion_text(found.classes, found.confusion))
    report = as_json(bundle, parts, found)
    seconds = round(time.perf_counter() - begin, 1)
    print(json.dumps(report | {"complete": complete, "seconds": seconds}))
    return 0


def performer(bundle: Bundle, kernel: str, speaker: str) -> Perform:
    """The bundle by a kernel of that name, as one of its speakers; empty: the first."""

    def perform(
        parts: list[Part], *, with_words: bool = True, offline: bool = False
    ) -> list[Scene]:
        schedule = bundle.config.schedule
        if offline:
            schedule = schedule.with_hop(_OFFLINE_HOP, _OFFLINE_HOP)
        step = select_step(kernel, bundle, schedule, log=_quiet)
        stream = GestureStream(bundle, step=step, schedule=schedule, speaker=speaker or 0)
        return live(stream, parts, with_words=with_words)

    return perform


def _quiet(text: str) -> None:
    del text


def as_json(bundle: Bundle, parts: list[Part], found: Findings) -> dict[str, Any]:
    """Plain values: numbers to five digits, None where one is not finite."""
    report: dict[str, Any] = {
        "bundle": bundle.config.name,
        "schedule": [bundle.config.schedule.hop, bundle.config.schedule.lookahead],
        "parts": {part.name: round(part.speech.duration, 1) for part in parts},
        "numbers": {who: _rounded(numbers) for who, numbers in found.columns.items()},
        "holds": verdicts(found.columns[NETWORK]),
    }
    if found.classes:
        counts = np.asarray(found.confusion).tolist()
        report["held_out_clips"] = {"classes": found.classes, "true_and_found": counts}
    return report


def _rounded(numbers: Numbers) -> dict[str, float | None]:
    return {name: float(f"{v:.5g}") if np.isfinite(v) else None for name, v in numbers.items()}
