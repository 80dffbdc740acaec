"""Figures of motion: stick figures from the front and the side, wrists over speech."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.strokes import arm_speed
from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.motion.skeleton import SMPLX_55
from engine.system.atomic import write_bytes
from engine.system.privacy import stay_private

_COLOURS = {"left": "tab:red", "right": "tab:blue"}
_VIEWS = {"front": (0, 1), "side": (2, 1)}
"""World axes to the right and up; from the front, the figure's left is at the right."""


def _pyplot() -> Any:
    """Drawing interface of matplotlib; ConfigError if it is not installed."""
    stay_private()
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; run: pip install matplotlib"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _colour(name: str) -> str:
    name = name.lower()
    if "thumb" in name or "finger0" in name:
        return "tab:green"
    ends = {"lf": "left", "rt": "right"}.get(name[-2:], "")
    return next((c for side, c in _COLOURS.items() if name.startswith(side) or ends == side), "0.3")


def _palm(points: NDArray[np.float32], names: Sequence[str], side: str) -> NDArray[np.float32]:
    """Line `[2, 3]` from the middle of the palm outwards, 8 cm long."""
    wrist, index, little = (
        points[names.index(f"{side}_{name}")] for name in ("wrist", "index1", "pinky1")
    )
    normal = np.cross(index - wrist, little - wrist) * (-1 if side == "left" else 1)
    centre = (wrist + index + little) / 3
    return np.stack([centre, centre + 0.08 * normal / max(float(np.linalg.norm(normal)), 1e-6)])


def draw_pose(axes: Any, motion: Motion, points: NDArray[np.float32], view: str) -> None:
    """Draw joints `[J, 3]` into matplotlib `axes`, with orange palm normals."""
    skeleton = motion.format.skeleton
    draw_joints(axes, Still("", points, skeleton.parents, skeleton.joint_names), view)


class Still(NamedTuple):
    """One frame of any figure.

    Attributes:
        label: title.
        points: joints `[J, 3]` in metres, root first; drawn relative to the root.
        parents: parent of each joint; -1 for the root.
        names: joint names.

    """

    label: str
    points: NDArray[Any]
    parents: Sequence[int]
    names: Sequence[str]


def draw_joints(axes: Any, still: Still, view: str) -> None:
    """Draw a figure of any joints; with orange palm normals if its hands have SMPL-X names."""
    across, up = _VIEWS[view]
    points, names, origin = still.points, still.names, still.points[0]
    for j, parent in enumerate(still.parents):
        if parent >= 0:
            line = points[[parent, j]]
            width = 0.8 if j > 21 else 1.6
            axes.plot(
                line[:, across] - origin[across], line[:, up], "-", lw=width, c=_colour(names[j])
            )
    for side in _COLOURS:
        if f"{side}_index1" in names:
            line = _palm(points, names, side)
            axes.plot(line[:, across] - origin[across], line[:, up], "-", lw=1.2, c="tab:orange")
    axes.axhline(0.0, lw=0.5, c="0.7")
    axes.set(xlim=(-0.6, 0.7), ylim=(-0.1, 1.75), aspect="equal", xticks=[], yticks=[])


def contact_sheet(path: Path, poses: Sequence[tuple[str, Motion, int]], columns: int = 8) -> None:
    """Write a picture of (label, motion, frame) triples, each from the front and the side."""
    stills = [
        Still(label, motion.world_positions()[frame], skeleton.parents, skeleton.joint_names)
        for label, motion, frame in poses
        for skeleton in [motion.format.skeleton]
    ]
    still_sheet(path, stills, columns)


def still_sheet(path: Path, stills: Sequence[Still], columns: int = 8) -> None:
    """Write a picture of stills, each from the front and the side."""
    pyplot = _pyplot()
    rows = -(-len(stills) // columns)
    figure, grid = pyplot.subplots(
        2 * rows, columns, figsize=(2.4 * columns, 6.6 * rows), squeeze=False
    )
    for axes in grid.flat:
        axes.axis("off")
    for number, still in enumerate(stills):
        row, column = divmod(number, columns)
        for step, view in enumerate(_VIEWS):
            axes = grid[2 * row + step, column]
            axes.axis("on")
            draw_joints(axes, still, view)
        grid[2 * row, column].set_title(still.label, fontsize=7)
    _save(figure, path)


def wrists_over_speech(
    path: Path, motion: Motion, samples: NDArray[np.float32], sample_rate: int
) -> None:
    """Write a plot of both wrists' heights (metres) above the waveform `[S]` of the speech."""
    figure, (upper, lower) = _pyplot().subplots(2, 1, sharex=True, figsize=(12, 4))
    points = motion.world_positions()
    seconds = np.arange(len(motion)) / motion.format.clock.frame_rate
    for side, colour in _COLOURS.items():
        joint = motion.format.skeleton.index(f"{side}_wrist")
        upper.plot(seconds, points[:, joint, 1], c=colour, label=f"{side} wrist")
    upper.set_ylabel("height (m)")
    upper.legend(loc="upper right", fontsize=7)
    step = max(1, len(samples) // 20000)
    lower.plot(np.arange(len(samples))[::step] / sample_rate, samples[::step], c="0.4", lw=0.4)
    lower.set(xlabel="time (s)", ylabel="speech")
    _save(figure, path)


def wrists_over_stresses(
    path: Path,
    rows: Sequence[tuple[str, NDArray[np.float32], NDArray[np.float64]]],
    fps: float,
    seconds: float = 25.0,
) -> None:
    """Write a plot of wrist heights and arm speed with stressed vowels.

    rows: (title, positions `[T, J, 3]`, times of stressed vowels in seconds).
    """
    figure, grid = _pyplot().subplots(2 * len(rows), 1, figsize=(18, 4.4 * len(rows)))
    for number, (title, points, stresses) in enumerate(rows):
        heights, rates = grid[2 * number], grid[2 * number + 1]
        times = np.arange(len(points)) / fps
        for side, colour in _COLOURS.items():
            joint = SMPLX_55.index(f"{side}_wrist")
            heights.plot(times, points[:, joint, 1] - points[:, 0, 1], c=colour)
        rates.plot(times, arm_speed(points, fps), "k")
        for axes in (heights, rates):
            axes.set_xlim(0, seconds)
            for at in stresses:
                axes.axvline(at, c="tab:purple", lw=0.8)
        heights.set_title(title, fontsize=8)
    _save(figure, path)


def strips(rows: Sequence[tuple[str, Motion]], frames: Sequence[int]) -> bytes:
    """PNG of the same frames of several motions from the front, one row per motion."""
    figure, grid = _pyplot().subplots(
        len(rows), len(frames), figsize=(1.5 * len(frames), 2.3 * len(rows)), squeeze=False
    )
    for (label, motion), cells in zip(rows, grid, strict=True):
        points, fps = motion.world_positions(), motion.format.clock.frame_rate
        for axes, frame in zip(cells, frames, strict=True):
            draw_pose(axes, motion, points[frame], "front")
            axes.set_title(f"{frame / fps:.2f} s", fontsize=7)
        cells[0].set_ylabel(label)
    return _png(figure)


def speeds_over_time(
    rows: Sequence[tuple[str, NDArray[np.float64]]],
    fps: float,
    speaking: NDArray[np.bool_] | None,
    seconds: float = 30.0,
) -> bytes:
    """PNG of speeds `[T]` (m/s) over the first `seconds`; frames with speech are shaded."""
    figure, axes = _pyplot().subplots(figsize=(14, 3))
    for label, speed in rows:
        axes.plot(np.arange(len(speed)) / fps, speed, lw=1, label=label)
    top = max(float(speed[: int(seconds * fps)].max()) for _, speed in rows)
    if speaking is not None:
        times = np.arange(len(speaking)) / fps
        axes.fill_between(times, 0, top, where=speaking, color="0.88", step="post", lw=0)
    axes.set(xlim=(0, seconds), ylim=(0, top * 1.02), xlabel="time (s)", ylabel="m/s")
    axes.legend(loc="upper right", fontsize=8)
    return _png(figure)


def distributions(
    panels: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.float64]]]]],
) -> bytes:
    """PNG of histograms: (axis label, (label, values `[N]`) of each kind) per panel."""
    figure, grid = _pyplot().subplots(1, len(panels), figsize=(4.6 * len(panels), 3), squeeze=False)
    for axes, (title, kinds) in zip(grid[0], panels, strict=True):
        every = np.concatenate([values for _, values in kinds])
        low, high = np.percentile(every, [0.5, 99.5])
        wide = max(float(high - low), 1e-6)
        bins = np.linspace(float(low), float(low) + wide, 41)
        for label, values in kinds:
            inside = np.clip(values, bins[0], bins[-1])
            axes.hist(inside, bins, density=True, histtype="step", label=label)
        axes.set(xlabel=title, yticks=[])
        axes.legend(fontsize=8)
    return _png(figure)


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.tight_layout()
    figure.savefig(target, format="png", dpi=80)
    _pyplot().close(figure)
    return target.getvalue()


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, _png(figure))
