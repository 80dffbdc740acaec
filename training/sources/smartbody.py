"""Readers of SmartBody files: skeletons (.sk), motions (.skm) and the clip list (clips.tsv)."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.motion.rotation import exp, forward_kinematics, identity, multiply, normalize
from training.sources.figure import Figure

FloatArray = NDArray[np.float64]

_AXES = {"XPos": 0, "YPos": 1, "ZPos": 2}

_STANDARD_NAMES = {
    "base": "Root", "spine1": "SpineA", "spine2": "SpineB", "spine3": "SpineC", "spine4": "NeckA",
    "spine5": "NeckB", "skullbase": "SkullA", "hip": "Hip", "knee": "Knee", "ankle": "Ankle",
    "forefoot": "Ball", "toe": "Toe", "sternoclavicular": "Clavicle", "shoulder": "Shoulder",
    "upperarm1": "UpperArmTwistA", "upperarm2": "UpperArmTwistB", "elbow": "Elbow",
    "forearm1": "ForearmTwistA", "forearm": "ForearmTwistB", "wrist": "Wrist", "index": "Index",
    "pinky": "Little", "middle": "Middle", "ring": "Ring", "thumb": "Thumb",
}  # fmt: skip
"""Artist's names by SmartBody's standard names, which some files use."""


def artist_name(channel: str) -> str:
    """Name of a channel's joint in the .sk file: `JtIndexALf` for `l_index1`."""
    side = {"l_": "Lf", "r_": "Rt"}.get(channel[:2], "")
    name = channel[2:] if side else channel
    if name in _STANDARD_NAMES:
        return f"Jt{_STANDARD_NAMES[name]}{side}"
    if side and name[:-1] in _STANDARD_NAMES and name[-1] in "123":
        return f"Jt{_STANDARD_NAMES[name[:-1]]}{'ABC'[int(name[-1]) - 1]}{side}"
    return channel


@dataclass(frozen=True)
class SourceSkeleton:
    """Skeleton of a .sk file.

    Attributes:
        names: names of the joints.
        parents: index of each joint's parent; -1 for the root.
        offsets: rest offsets, `[J, 3]`, metres.
        prerotations: rotations applied before the channels, `[J, 4]`.

    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: FloatArray
    prerotations: FloatArray

    def index(self, name: str) -> int:
        """Index of joint `name`."""
        return self.names.index(name)

    def pose(self, rotations: FloatArray, translation: FloatArray) -> tuple[FloatArray, FloatArray]:
        """World positions `[T, J, 3]` and rotations `[T, J, 4]` of channel rotations `[T, J, 4]`.

        translation `[T, 3]` is added to the root's offset.
        """
        local = multiply(np.broadcast_to(self.prerotations, rotations.shape), rotations)
        return forward_kinematics(self.parents, self.offsets, local, translation)

    def bind(self) -> tuple[FloatArray, FloatArray]:
        """World positions `[J, 3]` and rotations `[J, 4]` at zero channels."""
        rest = identity(1, len(self.names)).astype(np.float64)
        positions, rotations = self.pose(rest, np.zeros((1, 3)))
        return positions[0], rotations[0]


@dataclass(frozen=True)
class SourceMotion:
    """Channels of a .skm file.

    Attributes:
        times: key times, `[T]`, seconds.
        rotations: rotation vectors by joint, `[T, 3]`.
        positions: positions by joint, `[T, 3]`.

    """

    times: FloatArray
    rotations: dict[str, FloatArray]
    positions: dict[str, FloatArray]

    def resampled(self, fps: float) -> "SourceMotion":
        """Resample to multiples of 1 / fps, from 0 to the last key."""
        times = self.times - self.times[0]
        grid = np.arange(int(times[-1] * fps + 1e-3) + 1) / fps
        right = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
        weight = np.clip((grid - times[right - 1]) / (times[right] - times[right - 1]), 0, 1)[
            :, None
        ]

        def linear(values: FloatArray) -> FloatArray:
            return values[right - 1] * (1 - weight) + values[right] * weight

        return SourceMotion(
            grid,
            {name: linear(_unwrap(value)) for name, value in self.rotations.items()},
            {name: linear(value) for name, value in self.positions.items()},
        )

    def figure(self, skeleton: SourceSkeleton, frame_rate: int) -> Figure:
        """Convert to a figure at `frame_rate` whose rest pose is the bind pose."""
        motion = self.resampled(frame_rate)
        root = motion.positions.get("JtRoot", np.zeros((len(motion.times), 3)))
        positions, rotations = skeleton.pose(motion.channel_rotations(skeleton), root)
        rest = skeleton.bind()
        return Figure(skeleton.names, skeleton.parents, *rest, rotations, positions, frame_rate)

    def channel_rotations(self, skeleton: SourceSkeleton) -> FloatArray:
        """Quaternions `[T, J, 4]` in the skeleton's order; identity for joints without channel."""
        result = identity(len(self.times), len(skeleton.names)).astype(np.float64)
        for j, name in enumerate(skeleton.names):
            if name in self.rotations:
                result[:, j] = exp(self.rotations[name])
        return result


def _unwrap(vectors: FloatArray) -> FloatArray:
    """Remove jumps of 360 degrees from rotation vectors `[T, 3]`, so they can be interpolated."""
    result = vectors.copy()
    for t in range(1, len(result)):
        angle = float(np.linalg.norm(result[t]))
        if angle < 1e-6:
            continue
        turn = result[t] / angle * 2 * np.pi
        choices = np.stack([result[t] + k * turn for k in (-1, 0, 1)])
        result[t] = choices[np.linalg.norm(choices - result[t - 1], axis=1).argmin()]
    return result


def read_skeleton(path: Path) -> SourceSkeleton:
    """Read the skeleton of a .sk file; ConfigError if it has none."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    prerotations: list[list[float]] = []
    stack: list[int] = []
    for line in path.read_text().splitlines():
        words = line.replace("{", " { ").replace("}", " } ").split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("root", "joint"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[1])
        if "{" in words:
            stack.append(len(names) - 1)
        if "offset" in words:
            at = words.index("offset")
            offsets.append([float(x) for x in words[at + 1 : at + 4]])
        if words[0] == "prerot":
            axis, degrees = [float(x) for x in words[2:5]], float(words[6])
            prerotations.append([np.radians(degrees) * x for x in axis])
        stack = stack[: len(stack) - words.count("}")]
    if not names or len(names) != len(offsets) or len(names) != len(prerotations):
        raise ConfigError(
            f"{path}: expected a joint, an offset and a prerot each, as in a .sk file"
        )
    quaternions = normalize(exp(np.asarray(prerotations, np.float64)))
    return SourceSkeleton(tuple(names), tuple(parents), np.asarray(offsets), quaternions)


def read_motion(path: Path) -> SourceMotion:
    """Read the motion of a .skm file; ConfigError without channels or frames."""
    lines = path.read_text(errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("channels ")), None)
    rows = [line.split() for line in lines if line.startswith("kt ")]
    if start is None or not rows:
        raise ConfigError(f"{path}: expected `channels` and `kt` lines, as in a .skm file")
    count = int(lines[start].split()[1])
    values = np.asarray([row[3:] for row in rows], np.float64)
    rotations: dict[str, FloatArray] = {}
    positions: dict[str, FloatArray] = {}
    column = 0
    for line in lines[start + 1 : start + 1 + count]:
        channel, kind = line.split()
        name = artist_name(channel)
        if kind == "Quat":
            rotations[name] = values[:, column : column + 3]
            column += 3
        else:
            store = positions.setdefault(name, np.zeros((len(rows), 3)))
            store[:, _AXES[kind]] = values[:, column]
            column += 1
    return SourceMotion(np.asarray([float(row[1]) for row in rows]), rotations, positions)


TIMES = ("ready", "strokeStart", "emphasis", "stroke", "relax")
"""Gesture phases in order."""


@dataclass(frozen=True)
class ClipEntry:
    """A row of clips.tsv; use: gesture, idle, fidget, transition, exclude; times in seconds."""

    path: str
    actor: str
    idle: str
    family: str
    hand: str
    use: str
    split: str
    times: dict[str, float]

    @property
    def name(self) -> str:
        """Unique file name without suffix."""
        return f"{self.actor}_{Path(self.path).stem.split('@')[-1]}"


def read_clips(path: Path) -> list[ClipEntry]:
    """Read the rows of clips.tsv."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        ClipEntry(
            **{
                key: row[key] for key in ("path", "actor", "idle", "family", "hand", "use", "split")
            },
            times={key: float(row[key]) for key in TIMES if row[key]},
        )
        for row in rows
    ]
