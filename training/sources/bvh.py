"""BVH reader and writer: joint tree and channels of every frame.

Supports any channel order, positions on any joint and End Sites. Streams frames line by line.
Values stay in the file's units and degrees; `training.sources.bvh_figure` interprets them. Errors
name the line and the expected content.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError

FloatArray = NDArray[np.float64]
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")
_NAMES = {name.lower(): name for name in CHANNELS}
_MOST_FRAMES = 10_000_000  # more than a day at 100 frames/s: a damaged header


@dataclass(frozen=True)
class BvhTree:
    """Joint tree of a file, parents first.

    Attributes:
        names: names of the joints.
        parents: index of each joint's parent; -1 for the root.
        offsets: `[J, 3]`, the file's units.
        channels: channels of each joint, in the file's order.
        ends: offset of a joint's End Site by the joint's index.

    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: FloatArray
    channels: tuple[tuple[str, ...], ...]
    ends: dict[int, tuple[float, float, float]]

    @property
    def width(self) -> int:
        """Number of values per frame."""
        return sum(len(names) for names in self.channels)

    def columns(self, joint: int, kind: str) -> tuple[list[int], str]:
        """Columns of a joint's channels of `kind` (position or rotation), and their axes."""
        first = sum(len(names) for names in self.channels[:joint])
        found = [
            (first + i, name[0]) for i, name in enumerate(self.channels[joint]) if kind in name
        ]
        return [column for column, _ in found], "".join(axis for _, axis in found)


@dataclass(frozen=True)
class Bvh:
    """Contents of a file.

    Attributes:
        tree: joints.
        frame_rate: frames/s.
        values: channels, `[T, C]`, degrees and the file's units.

    """

    tree: BvhTree
    frame_rate: Fraction
    values: FloatArray

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class _Lines:
    """Line reader that counts lines for error messages."""

    lines: Iterator[str]
    source: str
    number: int = 0

    def words(self) -> list[str]:
        """Words of the next line that is not empty; empty at the end of the file."""
        for line in self.lines:
            self.number += 1
            if words := line.split():
                return words
        return []

    def wrong(self, expected: str, got: object) -> ClipError:
        return ClipError(f"{self.source}, line {self.number}: expected {expected}, got {got}")


@dataclass
class _Tree:
    """Joint tree under construction."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[tuple[str, ...]] = field(default_factory=list)
    ends: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    open: list[int | None] = field(default_factory=list)  # joints; None is an End Site

    def add(self, name: str) -> None:
        """Add a joint below the innermost open one."""
        self.names.append(name)
        self.parents.append(next((j for j in reversed(self.open) if j is not None), -1))
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append(())


def read_bvh(path: Path) -> Bvh:
    """Read a file; ClipError names the line and the expected content."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse_bvh(file, str(path))
    except OSError as error:
        raise ClipError(f"cannot read {path} as BVH: {error.strerror}") from error


def parse_bvh(lines: Iterable[str], source: str = "BVH") -> Bvh:
    """Parse lines as `read_bvh` does; `source` names them in errors."""
    reader = _Lines(iter(lines), source)
    words = reader.words()
    if [word.upper() for word in words] != ["HIERARCHY"]:
        raise reader.wrong("HIERARCHY as the first line of a BVH file", _shown(words))
    tree = _read_tree(reader)
    return _read_motion(reader, tree)


def _shown(words: list[str]) -> str:
    return repr(" ".join(words)[:60]) if words else "the end of the file"


def _read_tree(reader: _Lines) -> BvhTree:
    tree = _Tree()
    while True:
        words = deque(_split_braces(reader.words()))
        if not words:
            raise reader.wrong("MOTION after the joints", "the end of the file")
        if words[0].upper() == "MOTION":
            return _closed(reader, tree)
        while words:
            _read_statement(reader, tree, words)


def _split_braces(words: list[str]) -> list[str]:
    """Separate braces from adjacent names."""
    return " ".join(words).replace("{", " { ").replace("}", " } ").split()


def _read_statement(reader: _Lines, tree: _Tree, words: deque[str]) -> None:
    """Consume one statement from `words`, a line of the tree."""
    key = words.popleft()
    kind = key.upper()
    if kind in ("ROOT", "JOINT"):
        _read_joint(reader, tree, kind, words)
    elif kind == "END":
        if not tree.open or tree.open[-1] is None:
            raise reader.wrong("a joint around the End Site", "none")
        while words and words[0] != "{":
            words.popleft()
        tree.open.append(None)
        _read_brace(reader, words)
    elif kind == "OFFSET":
        _read_offset(reader, tree, words)
    elif kind == "CHANNELS":
        _read_channels(reader, tree, words)
    elif key == "}":
        if not tree.open:
            raise reader.wrong("a joint that is open", "'}'")
        tree.open.pop()
    else:
        raise reader.wrong("ROOT, JOINT, End Site, OFFSET, CHANNELS, '}' or MOTION", repr(key))


def _read_joint(reader: _Lines, tree: _Tree, kind: str, words: deque[str]) -> None:
    if kind == "ROOT" and tree.names:
        raise reader.wrong("one ROOT", "a second one; save each figure as a file of its own")
    if kind == "JOINT" and (not tree.open or tree.open[-1] is None):
        raise reader.wrong("ROOT, or JOINT inside of a joint", "JOINT outside")
    name: list[str] = []
    while words and words[0] != "{":
        name.append(words.popleft())
    if not name:
        raise reader.wrong(f"a name after {kind}", "none")
    tree.add(" ".join(name))
    tree.open.append(len(tree.names) - 1)
    _read_brace(reader, words)


def _read_brace(reader: _Lines, words: deque[str]) -> None:
    if not words:
        words.extend(_split_braces(reader.words()))
    if not words or words.popleft() != "{":
        raise reader.wrong("'{' after the name of a joint", "something else")


def _read_offset(reader: _Lines, tree: _Tree, words: deque[str]) -> None:
    if not tree.open:
        raise reader.wrong("OFFSET inside of a joint", "OFFSET outside")
    taken = [words.popleft() for _ in range(min(3, len(words)))]
    x = _numbers(taken)
    if x is None or x.shape != (3,) or not np.isfinite(x).all():
        raise reader.wrong("OFFSET and three numbers", _shown(taken))
    joint = tree.open[-1]
    if joint is None:
        above = tree.open[-2]
        assert above is not None
        tree.ends[above] = (float(x[0]), float(x[1]), float(x[2]))
    else:
        tree.offsets[joint] = x.tolist()


def _read_channels(reader: _Lines, tree: _Tree, words: deque[str]) -> None:
    joint = tree.open[-1] if tree.open else None
    if joint is None:
        raise reader.wrong("CHANNELS inside of a joint", "CHANNELS outside")
    count = words.popleft() if words else "nothing"
    if not count.isdigit() or len(words) < int(count):
        raise reader.wrong("CHANNELS, their number and as many names", _shown([count, *words]))
    names = [words.popleft() for _ in range(int(count))]
    unknown = [name for name in names if name.lower() not in _NAMES]
    if unknown or len({name.lower() for name in names}) < len(names):
        raise reader.wrong(f"different channels of {', '.join(CHANNELS)}", " ".join(names))
    tree.channels[joint] = tuple(_NAMES[name.lower()] for name in names)


def _closed(reader: _Lines, tree: _Tree) -> BvhTree:
    if tree.open:
        raise reader.wrong("'}' for every joint before MOTION", f"{len(tree.open)} still open")
    if not tree.names:
        raise reader.wrong("a ROOT before MOTION", "none")
    twice = sorted({name for name in tree.names if tree.names.count(name) > 1})
    if twice:
        raise reader.wrong("joints with different names", f"{twice[0]!r} more than once")
    return BvhTree(
        tuple(tree.names),
        tuple(tree.parents),
        np.asarray(tree.offsets, np.float64),
        tuple(tree.channels),
        tree.ends,
    )


def _numbers(words: list[str]) -> FloatArray | None:
    """Parse words as numbers; None if one of them is not a number."""
    try:
        return np.array(words, np.float64)
    except ValueError:
        return None


def _read_motion(reader: _Lines, tree: BvhTree) -> Bvh:
    frames = _read_frames(reader)
    rate = _read_frame_time(reader)
    rows: list[FloatArray] = []
    while words := reader.words():
        row = _numbers(words)
        if row is None:
            bad = next(word for word in words if _numbers([word]) is None)
            raise reader.wrong(f"the numbers of frame {len(rows)}", repr(bad))
        if len(row) != tree.width:
            raise reader.wrong(
                f"{tree.width} values, one for each channel, in frame {len(rows)}", len(row)
            )
        if not np.isfinite(row).all():
            raise reader.wrong(f"finite numbers in frame {len(rows)}", "NaN or infinity")
        if len(rows) == frames:
            raise reader.wrong(f"the end of the file after {frames} frames", "another frame")
        rows.append(row)
    if len(rows) < frames:
        raise reader.wrong(f"{frames} frames", f"the end of the file after {len(rows)}")
    return Bvh(tree, rate, np.stack(rows))


def _read_frames(reader: _Lines) -> int:
    words = reader.words()
    # Some writers format the count as 431.0.
    if len(words) == 2 and words[0].lower() == "frames:" and words[1].removesuffix(".0").isdigit():
        frames = int(words[1].removesuffix(".0"))
        if 0 < frames <= _MOST_FRAMES:
            return frames
    raise reader.wrong("'Frames:' and how many there are, at least one", _shown(words))


def _read_frame_time(reader: _Lines) -> Fraction:
    words = reader.words()
    if len(words) == 3 and [word.lower() for word in words[:2]] == ["frame", "time:"]:
        try:
            return rate_of(words[2])
        except ClipError:
            pass
    raise reader.wrong("'Frame Time:' and the seconds from frame to frame", _shown(words))


def rate_of(frame_time: str) -> Fraction:
    """Frame rate of a frame time as written in a file.

    An integer rate if its frame time, rounded to the given digits, matches: 0.016667 is 60, because
    59.9988 would drift from the sound in ten minutes. Otherwise the exact reciprocal.
    """
    try:
        seconds = Decimal(frame_time).normalize()
    except InvalidOperation:
        raise ClipError(f"expected the seconds from frame to frame, got {frame_time!r}") from None
    if not (seconds.is_finite() and Decimal("1e-4") <= seconds <= 10):
        raise ClipError(f"expected a frame time of 0.0001 to 10 s, got {frame_time!r}")
    whole = round(1 / seconds)
    digits = -int(seconds.as_tuple().exponent)
    if whole and round(1 / Decimal(whole), digits) == seconds:
        return Fraction(whole)
    return 1 / Fraction(seconds)
