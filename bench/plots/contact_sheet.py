"""Contact sheets of retargeted motion: source figure and SMPL-X side by side, at strokes."""

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.plots.figures import Still, still_sheet
from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.motion.skeleton import SMPLX_55
from training.data.clips import load_clip
from training.sources.axes import to_project_axes
from training.sources.bvh import read_bvh
from training.sources.bvh_figure import figure_of
from training.sources.figure import Figure
from training.sources.leg_ik import FOOT_HEIGHT_M
from training.sources.retarget import retarget
from training.sources.retarget_metrics import compare, find_defects, measure
from training.sources.skeleton_map import SkeletonMap, find_map, load_map, map_names

_APART_S = 0.8
Subparsers = Any  # argparse has no public type for the result of add_subparsers
_FPS = 30


def stroke_frames(motion: Motion, count: int) -> list[int]:
    """Up to `count` frames in time order with a wrist far from a hanging arm."""
    positions = motion.world_positions()
    away = np.zeros(len(motion))
    for side in ("left", "right"):
        arm = [positions[:, SMPLX_55.index(f"{side}_{j}")] for j in ("shoulder", "elbow", "wrist")]
        length = sum(np.linalg.norm(b - a, axis=-1) for a, b in itertools.pairwise(arm))
        hanging = arm[0] - length[:, None] * np.array([0.0, 1.0, 0.0])
        away = np.maximum(away, np.linalg.norm(arm[2] - hanging, axis=-1))
    apart = round(_APART_S * motion.format.clock.frame_rate)
    chosen: list[int] = []
    for frame in np.argsort(-away, kind="stable").tolist():
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
        if len(chosen) == count:
            break
    return sorted(chosen)


def stills(
    label: str, motion: Motion, frames: Sequence[int], figure: Figure, skeleton: SkeletonMap
) -> list[Still]:
    """Source figure and SMPL-X in turn, at each of `frames`; the source scaled to equal height."""
    figure, _ = to_project_axes(figure, skeleton.within(figure.names))
    assert figure.positions is not None
    positions = motion.world_positions()
    feet = [figure.index(skeleton.joints[f"{side}_ankle"].place) for side in ("left", "right")]
    head = figure.index(skeleton.joints["head"].place)
    own = [SMPLX_55.index(name) for name in ("left_ankle", "right_ankle", "head")]
    tall = positions[:, own[2], 1].mean() - positions[:, own[:2], 1].mean()
    scale = tall / (figure.positions[:, head, 1].mean() - figure.positions[:, feet, 1].mean())
    source = figure.positions * scale
    floor = np.median(source[:, feet, 1].min(1)) - FOOT_HEIGHT_M - 0.06
    source[..., 1] -= floor
    result = []
    for frame in frames:
        seconds = frame / motion.format.clock.frame_rate
        result += [
            Still(f"{label} {seconds:.1f} s", source[frame], figure.parents, figure.names),
            Still("SMPL-X", positions[frame], SMPLX_55.parents, SMPLX_55.joint_names),
        ]
    return result


def bvh_sheet(
    paths: Sequence[Path], out: Path, skeleton: str, strokes: int, rest_frame: int | None = None
) -> dict[str, object]:
    """Sheet of retargeted BVH files, and a report by file: unit, numbers, differences."""
    drawn: list[Still] = []
    report: dict[str, object] = {}
    for path in paths:
        bvh = read_bvh(path)
        named = find_map(bvh.tree.names) if skeleton == "auto" else load_map(skeleton)
        named = named if rest_frame is None else replace(named, rest_frame=rest_frame)
        figure, unit = figure_of(bvh, _FPS, rest_frame=named.rest_frame)
        motion = retarget(figure, named)
        drawn += stills(path.stem, motion, stroke_frames(motion, strokes), figure, named)
        found = measure(motion)
        numbers = found.lines() + compare(figure, named, motion).lines() + find_defects(found)
        report[path.name] = {"skeleton": named.name, "unit": unit.why, "numbers": numbers}
    still_sheet(out, drawn)
    return report


def clip_sheet(folder: Path, out: Path, names: Sequence[str], most: int = 24) -> dict[str, object]:
    """Sheet of retargeted clips, each at its emphasis or stroke if the metadata have one."""
    paths = sorted(folder.rglob("*.npz"))
    if names:
        paths = [path for path in paths if any(name in path.stem for name in names)]
    if not paths:
        raise ConfigError(f"no clips (*.npz) in {folder} whose name contains one of {[*names]}")
    paths = paths[:: -(-len(paths) // most)]
    drawn: list[Still] = []
    report: dict[str, object] = {}
    for path in paths:
        motion, meta = load_clip(path)
        times = meta.get("times") or {}
        at = times.get("emphasis", times.get("stroke"))
        rate = motion.format.clock.frame_rate
        frame = (
            stroke_frames(motion, 1)[0] if at is None else min(round(at * rate), len(motion) - 1)
        )
        points = motion.world_positions()[frame]
        drawn.append(Still(path.stem[-30:], points, SMPLX_55.parents, SMPLX_55.joint_names))
        report[path.stem] = measure(motion).lines()
    still_sheet(out, drawn)
    return report


def add_command(commands: Subparsers) -> None:
    """Add the parser of `contact-sheet` to those of emage-bench."""
    sheet = commands.add_parser(
        "contact-sheet", help="stroke frames of retargeted motion, as a picture"
    )
    sheet.add_argument("data", type=Path, nargs="+", help="BVH files, or a folder of clips (.npz)")
    sheet.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="FILE.png")
    sheet.add_argument("--skeleton", default="auto", help=f"{', '.join(map_names())}, or a .toml")
    sheet.add_argument("--rest-frame", type=int, metavar="N", help="rest frame of BVH")
    sheet.add_argument("--strokes", type=int, default=2, metavar="N", help="frames per BVH file")
    sheet.add_argument("--names", nargs="*", default=[], help="parts of the names of clips")


def sheet_command(options: argparse.Namespace) -> int:
    """Draw the sheet and print the numbers, as JSON in the last line."""
    if options.data[0].is_dir():
        report = clip_sheet(options.data[0], options.out, options.names)
    else:
        rest = options.rest_frame
        report = bvh_sheet(options.data, options.out, options.skeleton, options.strokes, rest)
    print(json.dumps({"out": str(options.out), "report": report}))
    return 0
