"""The body as a mannequin: tapered capsules on the bones, a smooth trunk, clothes by colour.

Uses SMPL-X joint names; bones without joints in a skeleton are left out. Vertices follow one joint,
or two on the trunk. The head is in `head`; here only its position is computed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.motion import rotation
from engine.motion.skeleton import Skeleton
from exporters.viewer.geometry import Faces, Mesh, Numbers, capsule, join, tube

SIDES: Final = ("left", "right")
_FINGERS: Final = {
    "thumb": 0.0106,
    "index": 0.0096,
    "middle": 0.0098,
    "ring": 0.0092,
    "pinky": 0.0080,
}

# Trunk rings from below: metres above the joint, half-width, half-depth, joint, joint above, share
# of the joint above.
_SHIRT_RINGS: Final = (
    ("pelvis", -0.100, 0.010, 0.010, "pelvis", "spine1", 0.0),
    ("pelvis", -0.098, 0.153, 0.112, "pelvis", "spine1", 0.0),
    ("pelvis", 0.000, 0.147, 0.107, "pelvis", "spine1", 0.0),
    ("pelvis", 0.060, 0.140, 0.102, "pelvis", "spine1", 0.4),
    ("spine1", 0.020, 0.134, 0.098, "spine1", "spine2", 0.1),
    ("spine2", -0.040, 0.136, 0.100, "spine1", "spine2", 0.6),
    ("spine2", 0.030, 0.146, 0.108, "spine2", "spine3", 0.5),
    ("spine3", 0.050, 0.152, 0.108, "spine2", "spine3", 0.9),
    ("spine3", 0.100, 0.146, 0.098, "spine3", "neck", 0.0),
    ("spine3", 0.140, 0.118, 0.082, "spine3", "neck", 0.0),
    ("neck", 0.002, 0.078, 0.066, "spine3", "neck", 0.1),
    ("neck", 0.020, 0.056, 0.056, "spine3", "neck", 0.3),
    ("neck", 0.020, 0.010, 0.010, "spine3", "neck", 0.3),
)
_TROUSER_RINGS: Final = (
    ("pelvis", -0.165, 0.010, 0.010, "pelvis", "pelvis", 0.0),
    ("pelvis", -0.155, 0.070, 0.070, "pelvis", "pelvis", 0.0),
    ("pelvis", -0.110, 0.138, 0.100, "pelvis", "pelvis", 0.0),
    ("pelvis", -0.050, 0.143, 0.103, "pelvis", "pelvis", 0.0),
    ("pelvis", 0.010, 0.120, 0.090, "pelvis", "pelvis", 0.0),
    ("pelvis", 0.015, 0.010, 0.010, "pelvis", "pelvis", 0.0),
)


@dataclass(frozen=True)
class FigurePose:
    """`[V, 3]` vertices of each part in world metres, and the position of the head joint."""

    parts: Mapping[str, Numbers]
    head_position: Numbers
    head_rotation: Numbers


@dataclass(frozen=True)
class _Bound:
    """A mesh in the rest pose and the joints that it follows."""

    mesh: Mesh
    joints: tuple[str, str]
    shares: Numbers  # `[V]`, of the second joint


class Figure:
    """A mannequin for one skeleton. `faces` holds `[F, 3]` for each part."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        count = len(skeleton.joint_names)
        # The floor is where the pelvis' offset puts it, so offsets are used as they stand.
        self._rest, _ = rotation.forward_kinematics(
            skeleton.parents,
            skeleton.offsets,
            rotation.identity(count),
            np.zeros(3, np.float32),
        )
        self._head = skeleton.index("head") if "head" in skeleton.joint_names else 0
        places = dict(zip(skeleton.joint_names, self._rest, strict=True))
        pieces = {name: list(make(places)) for name, make in _PARTS.items()}
        self._parts = {name: self._bind(bound) for name, bound in pieces.items() if bound}
        self.faces: dict[str, Faces] = {n: faces for n, (_, _, _, faces) in self._parts.items()}

    def pose(self, rotations: Numbers, translation: Numbers) -> FigurePose:
        """The mannequin under local `rotations` `[J, 4]` wxyz and `translation` `[3]` metres."""
        position, world = rotation.forward_kinematics(
            self._skeleton.parents, self._skeleton.offsets, rotations, translation
        )
        # Points turn as rows, hence the transposed matrices.
        turns = rotation.to_matrix(world).swapaxes(-1, -2)
        parts = {
            name: self._skin(turns, position, *bound[:3]) for name, bound in self._parts.items()
        }
        return FigurePose(parts, position[self._head], world[self._head])

    def _bind(self, bound: list[_Bound]) -> tuple[Numbers, Numbers, Numbers, Faces]:
        """Vertices relative to their two joints `[2, V, 3]`, joints `[2, V]`, shares `[V, 1]`."""
        joints = np.concatenate(
            [
                np.tile([[self._skeleton.index(name)] for name in b.joints], len(b.shares))
                for b in bound
            ],
            axis=1,
        )
        mesh = join([b.mesh for b in bound])
        shares = np.concatenate([b.shares for b in bound])[:, None].astype(np.float32)
        return mesh.vertices - self._rest[joints], joints, shares, mesh.faces

    @staticmethod
    def _skin(
        turns: Numbers,
        position: Numbers,
        local: Numbers,
        joints: Numbers,
        shares: Numbers,
    ) -> Numbers:
        first = np.einsum("vi,vij->vj", local[0], turns[joints[0]]) + position[joints[0]]
        if not shares.any():
            return np.asarray(first, np.float32)
        second = np.einsum("vi,vij->vj", local[1], turns[joints[1]]) + position[joints[1]]
        return np.asarray(first + shares * (second - first), np.float32)


_Places = Mapping[str, Numbers]


def _rigid(mesh: Mesh, joint: str) -> _Bound:
    return _Bound(mesh, (joint, joint), np.zeros(len(mesh.vertices), np.float32))


def _trunk(
    places: _Places, rings: tuple[tuple[str, float, float, float, str, str, float], ...]
) -> Iterator[_Bound]:
    """One bound piece for each pair of joints, cut out of one surface."""
    if not {name for ring in rings for name in (ring[0], ring[4], ring[5])} <= places.keys():
        return
    centres = np.stack([places[ring[0]] + np.array([0.0, ring[1], 0.0]) for ring in rings])
    # A straight back: the joints' own sideways and forward wander is half taken out.
    centres[:, 0] *= 0.3
    centres[:, 2] = 0.5 * centres[:, 2] - 0.004
    wide = np.array([ring[2] for ring in rings])[:, None] * np.array([1.0, 0.0, 0.0])
    deep = np.array([ring[3] for ring in rings])[:, None] * np.array([0.0, 0.0, -1.0])
    whole = tube(centres, wide, deep, segments=24)
    yield from _split(whole, rings)


def _split(
    whole: Mesh, rings: tuple[tuple[str, float, float, float, str, str, float], ...]
) -> Iterator[_Bound]:
    """Bind every ring to its own joints; the faces all go with the first piece."""
    vertices = whole.vertices.reshape(len(rings), -1, 3)
    for index, (ring, points) in enumerate(zip(rings, vertices, strict=True)):
        faces = whole.faces if index == 0 else whole.faces[:0]
        shares = np.full(len(points), ring[6], np.float32)
        # Faces count from the first ring on, and the pieces are joined in order: offset 0 fits.
        yield _Bound(Mesh(points, faces), (ring[4], ring[5]), shares)


def _bone(
    places: _Places,
    start: str,
    end: str,
    radii: tuple[float, float],
    *,
    segments: int = 20,
    reach: float = 1.0,
) -> Iterator[_Bound]:
    """A capsule along `reach` of the bone from `start` to `end`, if the skeleton has both."""
    if start in places and end in places:
        first, last = places[start], places[end]
        last = first + reach * (last - first)
        yield _rigid(capsule(first, last, radii, segments=segments, caps=5), start)


def _shirt(places: _Places) -> Iterator[_Bound]:
    yield from _trunk(places, _SHIRT_RINGS)
    for side in SIDES:
        yield from _bone(places, f"{side}_collar", f"{side}_shoulder", (0.058, 0.057))
        yield from _bone(places, f"{side}_shoulder", f"{side}_elbow", (0.057, 0.051), reach=0.55)


def _trousers(places: _Places) -> Iterator[_Bound]:
    yield from _trunk(places, _TROUSER_RINGS)
    for side in SIDES:
        yield from _bone(places, f"{side}_hip", f"{side}_knee", (0.088, 0.061))
        yield from _bone(places, f"{side}_knee", f"{side}_ankle", (0.060, 0.047))


def _shoes(places: _Places) -> Iterator[_Bound]:
    for side in SIDES:
        ankle, toes = places.get(f"{side}_ankle"), places.get(f"{side}_foot")
        if ankle is None or toes is None:
            continue
        # SMPL-X toe joints lie on the floor; the shoe lies around them, its sole at their height.
        heel = np.array([ankle[0], toes[1] + 0.034, ankle[2] - 0.012], np.float32)
        ball = toes + np.array([0.0, 0.030, 0.0], np.float32)
        tip = ball + np.array([0.004 if side == "left" else -0.004, -0.003, 0.055], np.float32)
        yield _rigid(capsule(ankle, heel, (0.044, 0.040)), f"{side}_ankle")
        yield _rigid(capsule(heel, ball, (0.040, 0.042), flatten=0.86), f"{side}_ankle")
        yield _rigid(capsule(ball, tip, (0.042, 0.036), flatten=0.78), f"{side}_foot")


def _skin_parts(places: _Places) -> Iterator[_Bound]:
    yield from _bone(places, "neck", "head", (0.052, 0.044), reach=0.85)
    for side in SIDES:
        yield from _bone(places, f"{side}_shoulder", f"{side}_elbow", (0.044, 0.041))
        yield from _bone(places, f"{side}_elbow", f"{side}_wrist", (0.041, 0.028))
        yield from _palm(places, side)
        for finger, radius in _FINGERS.items():
            yield from _finger(places, f"{side}_{finger}", radius)


def _palm(places: _Places, side: str) -> Iterator[_Bound]:
    wrist = places.get(f"{side}_wrist")
    knuckles = [places.get(f"{side}_{finger}1") for finger in ("index", "middle", "ring", "pinky")]
    if wrist is None or any(knuckle is None for knuckle in knuckles):
        return
    for knuckle in knuckles:
        assert knuckle is not None
        start = wrist + 0.12 * (knuckle - wrist)
        yield _rigid(capsule(start, knuckle, (0.0165, 0.0118), segments=10), f"{side}_wrist")
    middle = 0.5 * (knuckles[1] + knuckles[2])  # type: ignore[operator]
    inner, outer = wrist + 0.30 * (middle - wrist), wrist + 0.80 * (middle - wrist)
    flat = capsule(inner, outer, (0.030, 0.037), segments=16, flatten=0.40)
    yield _rigid(flat, f"{side}_wrist")
    thumb = places.get(f"{side}_thumb1")
    if thumb is not None:
        yield _rigid(capsule(wrist, thumb, (0.020, 0.0145), segments=10), f"{side}_wrist")


def _finger(places: _Places, name: str, radius: float) -> Iterator[_Bound]:
    joints = [places.get(f"{name}{i}") for i in (1, 2, 3)]
    if any(joint is None for joint in joints):
        return
    base, middle, last = (joint for joint in joints if joint is not None)
    tip = last + 0.75 * (last - middle)
    for i, (start, end) in enumerate(((base, middle), (middle, last), (last, tip))):
        radii = (radius * (1.0 - 0.08 * i), radius * (0.92 - 0.08 * i))
        piece = capsule(start, end, radii, segments=8, caps=2)
        yield _rigid(piece, f"{name}{i + 1}")


_PARTS: Final[Mapping[str, Callable[[_Places], Iterator[_Bound]]]] = {
    "shirt": _shirt,
    "trousers": _trousers,
    "shoes": _shoes,
    "skin": _skin_parts,
}
