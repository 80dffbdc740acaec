"""Rotations and forward kinematics: a small closed set of verbs.

Quaternions are unit, wxyz, `[..., 4]`. 6D rotations are the first two ROWS of the matrix,
flattened, `[..., 6]` (Zhou et al. 2019 as the EMAGE code stores it). Rotation vectors are axis
times angle in radians, `[..., 3]`. Every verb takes numpy arrays or torch tensors alike and returns
the same kind, so training and the runtime share one implementation. Of joints it knows only
parents.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

# numpy array or torch tensor. The two share no nominal type, hence Any.
Array: TypeAlias = Any

_EPSILON = 1e-8
_FEW = 4096
"""Numbers up to which gathering is faster than one operation for each component; same bits."""
_FACTORS = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
_SIGNS = np.array([[1, 1, 1, 1], [-1, 1, -1, 1], [-1, 1, 1, -1], [-1, -1, 1, 1]], np.int8)
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])


def namespace(x: Array) -> Any:
    """The module (numpy or torch) whose functions apply to `x`; torch is never imported for it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def _length(x: Array) -> Array:
    xp = namespace(x)
    square = (x * x).sum(-1)[..., None]
    if xp is np:
        return np.sqrt(square)
    # The root's gradient is infinite at zero, and infinity times zero is NaN: never take it there.
    zero = square == 0
    return xp.where(zero, 0.0 * square, xp.sqrt(xp.where(zero, 1.0 + square, square)))


def normalize(x: Array) -> Array:
    """Scale vectors or quaternions `[..., N]` to unit length."""
    length = _length(x)
    return x / (np.maximum(length, _EPSILON) if namespace(x) is np else length.clip(_EPSILON))


def identity(*shape: int) -> Array:
    """Identity quaternions `[*shape, 4]`, numpy float32."""
    result = np.zeros((*shape, 4), np.float32)
    result[..., 0] = 1.0
    return result


def inverse(q: Array) -> Array:
    """Inverse of unit quaternions `[..., 4]`."""
    return namespace(q).concatenate([q[..., :1], -q[..., 1:]], -1)


def multiply(a: Array, b: Array) -> Array:
    """Hamilton product `[..., 4]`: first rotate by `b`, then by `a`."""
    if namespace(b) is np and b.size <= _FEW:
        turned = b[..., _FACTORS] * _SIGNS
        w, x, y, z = (a[..., i : i + 1] * turned[..., i, :] for i in range(4))
        return w + x + y + z
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return namespace(a).stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def cross(a: Array, b: Array) -> Array:
    """Cross product of vectors `[..., 3]`."""
    if namespace(b) is np and b.size <= _FEW:
        return a[..., _NEXT] * b[..., _LAST] - a[..., _LAST] * b[..., _NEXT]
    ax, ay, az = (a[..., i] for i in range(3))
    bx, by, bz = (b[..., i] for i in range(3))
    return namespace(a).stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors `[..., 3]` by quaternions `[..., 4]`."""
    t = 2.0 * cross(q[..., 1:], v)
    return v + q[..., :1] * t + cross(q[..., 1:], t)


def exp(rotvec: Array) -> Array:
    """Rotation vectors `[..., 3]` (radians) to quaternions `[..., 4]`."""
    xp = namespace(rotvec)
    angle = _length(rotvec)
    # sin(a/2)/a tends to 1/2; the clipped divisor keeps the gradient finite at zero.
    small = angle < 1e-4
    scale = xp.where(small, 0.5 - angle * angle / 48.0, xp.sin(angle / 2) / angle.clip(1e-4, None))
    return xp.concatenate([xp.cos(angle / 2), rotvec * scale], -1)


def log(q: Array) -> Array:
    """Quaternions `[..., 4]` to the shortest rotation vectors `[..., 3]` (radians, at most pi)."""
    xp = namespace(q)
    q = xp.where(q[..., :1] < 0, -q, q)
    sine = _length(q[..., 1:])
    angle = 2.0 * xp.arctan2(sine, q[..., :1])
    return q[..., 1:] * xp.where(sine < 1e-6, 2.0 + 0.0 * sine, angle / sine.clip(1e-6, None))


def angle(a: Array, b: Array) -> Array:
    """Geodesic distance `[...]` in radians between quaternions `[..., 4]`."""
    xp = namespace(a)
    d = multiply(inverse(a), b)
    return 2.0 * xp.arctan2(_length(d[..., 1:])[..., 0], xp.abs(d[..., 0]))


def slerp(a: Array, b: Array, t: Array) -> Array:
    """Shortest-path interpolation from `a` (t = 0) to `b` (t = 1); `t` broadcasts to `[..., 1]`."""
    return normalize(multiply(a, exp(log(multiply(inverse(a), b)) * t)))


def between(a: Array, b: Array) -> Array:
    """The shortest rotation `[..., 4]` that turns direction `a` into direction `b` (`[..., 3]`)."""
    xp = namespace(a)
    a, b = normalize(a), normalize(b)
    dot = (a * b).sum(-1)[..., None]
    half = xp.concatenate([1.0 + dot, cross(a, b)], -1)
    # Opposite directions leave the axis open: take any one at right angles to `a`.
    x, y, z = (a[..., i] for i in range(3))
    flat = xp.stack([0 * x, -y, x, 0 * x], -1)
    upright = xp.stack([0 * x, 0 * x, -z, y], -1)
    other = xp.where(xp.abs(x[..., None]) > xp.abs(z[..., None]), flat, upright)
    return normalize(xp.where(dot < -1 + 1e-6, other, half))


def to_matrix(q: Array) -> Array:
    """Quaternions `[..., 4]` to matrices `[..., 3, 3]` acting on column vectors."""
    xp = namespace(q)
    w, x, y, z = (q[..., i] for i in range(4))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return xp.stack([xp.stack(row, -1) for row in rows], -2)


def from_matrix(m: Array) -> Array:
    """Matrices `[..., 3, 3]` to quaternions `[..., 4]` with w >= 0.

    All four of Shepperd's candidates are formed and the best conditioned is taken, so there is no
    branch and no loss of precision near half turns.
    """
    xp = namespace(m)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    diagonal = xp.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    candidates = xp.stack(
        [
            xp.stack([diagonal[..., 0], a, b, c], -1),
            xp.stack([a, diagonal[..., 1], d, e], -1),
            xp.stack([b, d, diagonal[..., 2], f], -1),
            xp.stack([c, e, f, diagonal[..., 3]], -1),
        ],
        -2,
    )
    best = diagonal.argmax(-1)[..., None, None]
    if xp is np:
        chosen = np.take_along_axis(candidates, best, -2)[..., 0, :]
    else:
        chosen = candidates.gather(-2, best.expand(*best.shape[:-1], 4))[..., 0, :]
    q = normalize(chosen)
    return xp.where(q[..., :1] < 0, -q, q)


def to_sixd(q: Array) -> Array:
    """Quaternions `[..., 4]` to 6D rotations `[..., 6]`: the first two rows of the matrix."""
    m = to_matrix(q)
    return m[..., :2, :].reshape(*m.shape[:-2], 6)


def from_sixd(x: Array) -> Array:
    """6D rotations `[..., 6]`, not necessarily orthonormal, to quaternions `[..., 4]`.

    Gram-Schmidt as in Zhou et al. 2019: the first row keeps its direction.
    """
    xp = namespace(x)
    first = normalize(x[..., :3])
    second = x[..., 3:] - (first * x[..., 3:]).sum(-1)[..., None] * first
    second = normalize(second)
    return from_matrix(xp.stack([first, second, cross(first, second)], -2))


def forward_kinematics(
    parents: Sequence[int], offsets: Array, rotations: Array, translation: Array
) -> tuple[Array, Array]:
    """World positions and rotations of all joints.

    parents: J indices, each smaller than its joint's own, -1 for the root.
    offsets: `[J, 3]` rest offsets from the parent in metres, the root's being its rest position.
    rotations: `[..., J, 4]` local rotations.
    translation: `[..., 3]` metres, added to the root's offset.
    Returns positions `[..., J, 3]` in metres and world rotations `[..., J, 4]`.

    Joints of one depth are computed together: eleven steps for SMPL-X instead of 55.
    """
    xp = namespace(rotations)
    levels = joint_levels(parents)
    world = [rotations[..., levels[0], :]]
    position = [offsets[levels[0]] + translation[..., None, :]]
    for above, level in pairwise(levels):
        slot = [above.index(parents[j]) for j in level]
        parent_rotation = world[-1][..., slot, :]
        world.append(multiply(parent_rotation, rotations[..., level, :]))
        position.append(position[-1][..., slot, :] + rotate(parent_rotation, offsets[level]))
    order = [j for level in levels for j in level]
    back = [order.index(j) for j in range(len(parents))]
    return xp.concatenate(position, -2)[..., back, :], xp.concatenate(world, -2)[..., back, :]


def joint_levels(parents: Sequence[int]) -> list[list[int]]:
    """Joint indices grouped by their depth below the root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
