"""Losses of the motion autoencoders: rotations, positions, velocities, accelerations, foot contact.

Inputs are vectors `[B, T, C]` of one part, as packed by `training.data.vectors`.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.motion.channels import part_layout
from engine.motion.rotation import cross, joint_levels, normalize
from engine.motion.skeleton import CONTACT_JOINTS, PART_JOINTS, SMPLX_55, BodyPart


def matrices(sixd: Tensor) -> Tensor:
    """Convert 6D rotations `[..., 6]` to matrices `[..., 3, 3]` (Gram-Schmidt)."""
    first = normalize(sixd[..., :3])
    second = sixd[..., 3:] - (first * sixd[..., 3:]).sum(-1, keepdim=True) * first
    second = normalize(second)
    return torch.stack([first, second, cross(first, second)], -2)


def geodesic(a: Tensor, b: Tensor) -> Tensor:
    """Angle `[...]` between rotation matrices, radians; unlike arccos, smooth near 0."""
    chord = ((a - b).square().sum((-1, -2)) + 1e-8).sqrt()
    return 2.0 * torch.asin((chord / (2.0 * math.sqrt(2.0))).clip(max=0.999))


def changes(x: Tensor, order: int) -> Tensor:
    """Differences of the given order over time (dimension 1)."""
    for _ in range(order):
        x = x[:, 1:] - x[:, :-1]
    return x


@dataclass(frozen=True)
class Limb:
    """Joint tree of a part, with additional tip points that depend on the last rotations.

    Attributes:
        joints: number of joints; the points after them are tips.
        parents: index of each point's parent; -1: none.
        offsets: offsets `[N, 3]` from the parents, metres.
        weights: weights `[N]` of the position errors.

    """

    joints: int
    parents: tuple[int, ...]
    offsets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "Limb":
        """Copy on `device`."""
        offsets, weights = self.offsets.to(device), self.weights.to(device)
        return replace(self, offsets=offsets, weights=weights)

    def points(self, sixd: Tensor) -> Tensor:
        """Positions `[B, T, N, 3]` of 6D rotations `[B, T, joints * 6]`, metres.

        Computed with matrices, level by level, which is several times faster to differentiate than
        quaternions.
        """
        local = matrices(sixd.unflatten(-1, (self.joints, 6)))
        worlds: dict[int, Tensor] = {}
        places: dict[int, Tensor] = {}
        for above, level in pairwise([[], *joint_levels(self.parents)]):
            turning = [j for j in level if j < self.joints]
            place, world = (
                self.offsets[level].expand(*sixd.shape[:-1], -1, 3),
                local[..., turning, :, :],
            )
            if above:
                parent = torch.stack([worlds[self.parents[j]] for j in level], -3)
                start = torch.stack([places[self.parents[j]] for j in level], -2)
                place = start + (parent @ self.offsets[level][:, :, None])[..., 0]
                world = parent[..., [level.index(j) for j in turning], :, :] @ world
            places |= dict(zip(level, place.unbind(-2), strict=True))
            worlds |= dict(zip(turning, world.unbind(-3), strict=True))
        return torch.stack([places[j] for j in range(len(self.parents))], -2)


_TIPS: dict[BodyPart, list[tuple[str, tuple[float, float, float], float]]] = {
    # Joint, offset of a point that rotates with it (metres), weight.
    BodyPart.UPPER: [
        ("left_wrist", (0.11, 0.0, 0.0), 3.0),
        ("left_wrist", (0.05, 0.0, 0.05), 1.5),
        ("right_wrist", (-0.11, 0.0, 0.0), 3.0),
        ("right_wrist", (-0.05, 0.0, 0.05), 1.5),
        ("head", (0.0, 0.1, 0.1), 1.5),
    ],
    # The pelvis moves the head and the hands.
    BodyPart.LOWER: [
        ("pelvis", (0.0, 0.55, 0.0), 2.0),
        ("pelvis", (0.3, 0.2, 0.25), 2.0),
        ("pelvis", (-0.3, 0.2, 0.25), 2.0),
        ("left_foot", (0.0, -0.02, 0.08), 1.0),
        ("right_foot", (0.0, -0.02, 0.08), 1.0),
    ],
    BodyPart.HANDS: [
        (f"{side}_{finger}3", (0.022 * sign, 0.0, 0.0), 1.0)
        for side, sign in (("left", 1.0), ("right", -1.0))
        for finger in ("index", "middle", "ring", "pinky", "thumb")
    ],
}
_ARM_WEIGHTS = {"elbow": 1.5, "wrist": 3.0}


def limb(part: BodyPart) -> Limb:
    """Build the tree of a part; joints with a parent in another part are roots."""
    members = list(PART_JOINTS[part])
    names = [SMPLX_55.joint_names[j] for j in members]
    parents = [
        members.index(p) if p in members else -1 for p in (SMPLX_55.parents[j] for j in members)
    ]
    offsets = [SMPLX_55.rest_offsets[j] for j in members]
    weights = [_ARM_WEIGHTS.get(name.split("_")[-1], 1.0) for name in names]
    for joint, offset, weight in _TIPS.get(part, []):
        parents.append(names.index(joint))
        offsets.append(offset)
        weights.append(weight)
    return Limb(len(members), tuple(parents), torch.tensor(offsets), torch.tensor(weights))


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms.

    Attributes:
        plain: error of all channels.
        rotation: angle between rotations.
        position: error of joint positions.
        velocity: error of joint velocities.
        acceleration: error of joint accelerations.
        plain_change: error of the channels' change per frame.
        face: additional error of facial coefficients.

    """

    plain: float = 1.0
    rotation: float = 1.0
    position: float = 10.0
    velocity: float = 20.0
    acceleration: float = 20.0
    plain_change: float = 0.3
    face: float = 5.0


class PartLoss:
    """Loss terms of reconstructed vectors `[B, T, C]` of one part."""

    def __init__(self, part: BodyPart, face_width: int, weights: LossWeights, stretch: int) -> None:
        """stretch: number of successive frames on which positions and angles are compared.

        The stretch is drawn for each batch, because these terms are expensive.
        """
        self._part = part
        self._layout = part_layout(part, face_width)
        self._tree = None if part is BodyPart.FACE else limb(part)
        self._weights = weights
        self._stretch = stretch

    def to(self, device: torch.device) -> Self:
        """Move to `device`."""
        self._tree = None if self._tree is None else self._tree.to(device)
        return self

    def __call__(self, predicted: Tensor, true: Tensor, first: int) -> dict[str, Tensor]:
        """Weighted terms; the stretch starts at frame `first`."""
        w = self._weights
        terms = {"plain": w.plain * F.l1_loss(predicted, true)}
        where = slice(first, first + self._stretch)
        predicted_sixd, true_sixd = (
            self._layout.unpack(x[:, where])["rot6d"] for x in (predicted, true)
        )
        a, b = (matrices(x.unflatten(-1, (-1, 6))) for x in (predicted_sixd, true_sixd))
        terms["rotation"] = w.rotation * geodesic(a, b).mean()
        moving = [(predicted, true, w.plain_change)]
        if self._tree is not None:
            scale = (self._tree.weights / self._tree.weights.mean())[:, None]
            with torch.no_grad():
                q = self._tree.points(true_sixd) * scale
            p = self._tree.points(predicted_sixd) * scale
            terms["position"] = w.position * (p - q).abs().mean()
            moving.append((p.flatten(2), q.flatten(2), 1.0))
        if self._part is BodyPart.FACE:
            face = self._layout.slice("face")
            terms["face"] = w.face * F.l1_loss(predicted[..., face], true[..., face])
        for order, name in ((1, "velocity"), (2, "acceleration")):
            change = [s * F.l1_loss(changes(x, order), changes(y, order)) for x, y, s in moving]
            terms[name] = getattr(w, name) * torch.stack(change).sum()
        return terms


STILL_M_S = 0.05
"""Speed below which a foot is planted."""


class FootLoss:
    """Speed and height of the feet of a lower body under root motion."""

    def __init__(self, fps: float) -> None:
        self._tree = limb(BodyPart.LOWER)
        members = PART_JOINTS[BodyPart.LOWER]
        self._feet = [members.index(joint) for joint in CONTACT_JOINTS]
        self._fps = fps

    def to(self, device: torch.device) -> Self:
        """Move to `device`."""
        self._tree = self._tree.to(device)
        return self

    def feet(self, sixd: Tensor) -> Tensor:
        """Foot positions `[B, T, 4, 3]` for a pelvis at its rest position, metres."""
        return self._tree.points(sixd)[:, :, self._feet]

    def speeds(self, feet: Tensor, root: Tensor) -> Tensor:
        """Horizontal speeds `[B, T - 1, 4]` (m/s) of feet `[B, T, 4, 3]` under root motion.

        root `[B, T, 3]`: x velocity, height, z velocity.
        """
        moved = changes(feet, 1)[..., [0, 2]] * self._fps
        squares = (moved + root[:, :-1, None, [0, 2]]).square().sum(-1)
        return (squares + 1e-6).sqrt()

    def planted(self, feet: Tensor, root: Tensor) -> Tensor:
        """1 where a foot is planted, else 0, `[B, T, 4]`; stricter than the contacts of poses.

        Contacts allow up to 0.3 m/s, so that a slowly repositioned foot would hold the root back.
        """
        still = (self.speeds(feet, root) < STILL_M_S).to(feet.dtype)
        return torch.cat([still, still[:, -1:]], 1)
