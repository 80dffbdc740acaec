"""Skeleton maps: source joint of each SMPL-X joint, from `sources/skeletons/*.toml`.

`{side}` in a table is replaced by the entries of `[sides]`. A joint may take its rotation and its
position from different joints, or interpolate between two rotations (`towards`, `share`).
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.motion.skeleton import SMPLX_55

FOLDER = Path(__file__).parent / "skeletons"
SIDES = ("left", "right")
FINGERS = ("index", "middle", "ring", "pinky", "thumb")
REQUIRED = (
    "pelvis",
    "head",
    *(
        f"{side}_{joint}"
        for side in SIDES
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ),
)
"""Joints that a figure needs for retargeting."""


class Feet(StrEnum):
    """Pose with flat soles: REST, the rest pose; LEVEL, the mean standing pose."""

    REST = "rest"
    LEVEL = "level"


class Twist(StrEnum):
    """Forearm twist: OWN, as in the source; EVEN, distributed equally over elbow and wrist."""

    OWN = "own"
    EVEN = "even"


@dataclass(frozen=True)
class JointSource:
    """Source of one SMPL-X joint.

    Attributes:
        follow: joint of the rotation.
        at: joint of the position; empty for that of `follow`.
        towards: second joint of an interpolated rotation; empty for none.
        share: weight of `towards`, 0..1.

    """

    follow: str
    at: str = ""
    towards: str = ""
    share: float = 0.0

    def __post_init__(self) -> None:
        if (
            not self.follow
            or not 0.0 <= self.share <= 1.0
            or (self.share > 0) != bool(self.towards)
        ):
            raise ConfigError(
                "a joint needs `follow`, and `towards` together with a `share` of 0 to 1, got "
                f"{self}"
            )

    @property
    def place(self) -> str:
        """Joint of the position."""
        return self.at or self.follow


@dataclass(frozen=True)
class SkeletonMap:
    """Map from a source skeleton to SMPL-X.

    Attributes:
        name: name of the table.
        title: description.
        joints: sources by SMPL-X name.
        tips: fingertip joints of the source by finger, as `left_index`.
        feet: pose with flat soles.
        twist: treatment of the forearm twist.
        found: true if `find_map` may select the map.
        face_forward: true to rotate clips so that the figure faces +Z on average.
        repair: true to interpolate fingers across jumps.
        rest_frame: frame of the rest pose; None for the pose of zero channels.

    """

    name: str
    title: str
    joints: Mapping[str, JointSource]
    tips: Mapping[str, str]
    feet: Feet = Feet.REST
    twist: Twist = Twist.OWN
    found: bool = True
    face_forward: bool = False
    repair: bool = False
    rest_frame: int | None = None

    def named(self) -> set[str]:
        """Return all joints of the source that the map names."""
        followed = self.joints.values()
        names = {name for f in followed for name in (f.follow, f.place, f.towards)}
        return (names | set(self.tips.values())) - {""}

    def missing(self, names: Iterable[str]) -> list[str]:
        """List the SMPL-X joints whose source is not among `names`."""
        known = set(names)
        return [joint for joint, f in self.joints.items() if not {f.follow, f.place} <= known]

    def within(self, names: Iterable[str]) -> "SkeletonMap":
        """Restrict the map to `names`; ConfigError if a required joint is missing."""
        known = set(names)
        missing = set(self.missing(known))
        lost = [joint for joint in REQUIRED if joint in missing or joint not in self.joints]
        if lost:
            followed = self.joints.get(lost[0])
            raise ConfigError(
                f"skeleton {self.name}: expected the joint {followed.follow!r} for {lost[0]}"
                if followed
                else f"skeleton {self.name}: expected an entry for {lost[0]}"
            )
        # Without the joint of `towards` there is nothing to interpolate with.
        kept = {
            joint: f if f.towards in known else JointSource(f.follow, f.at)
            for joint, f in self.joints.items()
            if joint not in missing
        }
        tips = {finger: tip for finger, tip in self.tips.items() if tip in known}
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return SkeletonMap(**{**values, "joints": kept, "tips": tips})


def map_names() -> list[str]:
    """List the maps that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_map(name: str | Path) -> SkeletonMap:
    """Read a map by name or from a TOML file; ConfigError if it is invalid."""
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"no skeleton {str(name)!r} ({error}); expected a .toml file or one of "
            f"{', '.join(map_names())}"
        ) from error
    try:
        return _map(path.stem, table)
    except (ConfigError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def find_map(names: Iterable[str]) -> SkeletonMap:
    """Find the map that matches a figure's joint names best; ConfigError if none fits."""
    known = set(names)
    fitting: list[tuple[int, SkeletonMap]] = []
    for name in map_names():
        found = load_map(name)
        if found.found and not set(REQUIRED) & set(found.missing(known)):
            lacking = len(found.named() - known)
            fitting.append((len(found.named() & known) - lacking, found))
    if not fitting:
        raise ConfigError(
            f"none of the skeletons {', '.join(map_names())} has these joints: "
            f"{', '.join(sorted(known)[:12])} ...; write a .toml file for them"
        )
    return max(fitting, key=lambda pair: pair[0])[1]


def _map(name: str, table: dict[str, Any]) -> SkeletonMap:
    sides = table.pop("sides", {})
    if sorted(sides) != sorted(SIDES):
        raise ConfigError("expected a table [sides] with left and right")
    joints = dict(table.pop("joints", {}))
    limbs, tips = table.pop("limbs", {}), table.pop("tips", {})
    for side in SIDES:
        joints |= {f"{side}_{joint}": _sided(value, sides[side]) for joint, value in limbs.items()}
    unknown = [joint for joint in joints if joint not in SMPLX_55.joint_names]
    if unknown or set(tips) - set(FINGERS):
        raise ConfigError(
            f"unknown joint of SMPL-X {[*unknown, *sorted(set(tips) - set(FINGERS))][0]!r}"
        )
    return SkeletonMap(
        name=name,
        title=str(table.pop("title", name)),
        joints={joint: _followed(joint, value) for joint, value in joints.items()},
        tips={
            f"{side}_{finger}": _sided(tip, sides[side])
            for side in SIDES
            for finger, tip in tips.items()
        },
        feet=Feet(table.pop("feet", Feet.REST)),
        twist=Twist(table.pop("twist", Twist.OWN)),
        **table,
    )


def _sided(value: Any, side: str) -> Any:
    if isinstance(value, dict):
        return {key: _sided(entry, side) for key, entry in value.items()}
    return value.replace("{side}", side) if isinstance(value, str) else value


def _followed(joint: str, value: Any) -> JointSource:
    try:
        return JointSource(**value) if isinstance(value, dict) else JointSource(str(value))
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{joint}: {error}") from error
