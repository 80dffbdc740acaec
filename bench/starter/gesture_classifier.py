"""Gesture classifier: class of a pose window, trained on recorded clips only.

Input: arms, hands and head over a third of a second, in the frame of the chest. The classifier is
a linear softmax, since there are few clips. Families that serve the same kinds of gestures are one
class (`training.composer.library.FAMILIES`). Its input has no speech and no plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats
from engine.errors import ConfigError
from engine.motion.pose import FloatArray
from engine.motion.rotation import forward_kinematics, inverse, log, multiply, normalize, rotate
from engine.motion.skeleton import SMPLX_55
from training.composer.library import FAMILIES, FPS, ClipLibrary
from training.sources.retarget_metrics import palm_normals

REST = "rest"
_SIDES = ("left", "right")
_CHEST, _NECK, _HEAD = (SMPLX_55.index(name) for name in ("spine3", "neck", "head"))
_OFFSETS = (-5, 0, 5)  # frames
_AROUND = range(-2, 11, 3)  # training frames relative to the far end of a gesture
_DECAY = 3e-3
_STEPS = 60


def classes_of(families: Mapping[str, Sequence[str]] = FAMILIES) -> dict[str, frozenset[str]]:
    """Kinds of gestures of each clip family (lower case); families with equal kinds are a class."""
    names = {family for members in families.values() for family in members}
    return {
        name: frozenset(kind for kind, members in families.items() if name in members)
        for name in names
    }


def features(rotations: FloatArray) -> Floats:
    """Features `[T, F]` of rotations `[T, 55, 4]` in the frame of the chest."""
    still = np.zeros((len(rotations), 3), np.float32)
    positions, turned = forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, rotations, still)
    positions, turned = positions.astype(np.float64), turned.astype(np.float64)
    upright = inverse(turned[:, _CHEST])
    local = rotate(upright[:, None], positions - positions[:, _NECK][:, None])
    points = {name: local[:, j] for j, name in enumerate(SMPLX_55.joint_names)}
    columns = [log(multiply(upright, turned[:, _HEAD]))]
    for side in _SIDES:
        shoulder, elbow, wrist = (points[f"{side}_{j}"] for j in ("shoulder", "elbow", "wrist"))
        tips = [points[f"{side}_{finger}3"] for finger in ("index", "middle", "pinky", "thumb")]
        open_ = [np.linalg.norm(tip - wrist, axis=-1)[:, None] for tip in tips]
        pointing = normalize(points[f"{side}_middle1"] - wrist)
        columns += [wrist, elbow - shoulder, palm_normals(points, side), pointing]
        columns += [shoulder[:, 1:2], *(4.0 * x for x in open_)]
    return np.concatenate(columns, axis=1)


def windows(rows: Floats, centres: NDArray[np.int64]) -> Floats:
    """Poses at each of the frames `[N]`, and the change around it: `[N, W]`."""
    at = np.clip(centres[:, None] + np.array(_OFFSETS), 0, len(rows) - 1)
    seen = rows[at]
    return np.concatenate([seen[:, 1], seen[:, 2] - seen[:, 0]], axis=1)


@dataclass(frozen=True)
class Examples:
    """Windows `[N, W]`, and class and clip of each."""

    windows: Floats
    labels: NDArray[np.int64]
    clips: NDArray[np.int64]


def examples(library: ClipLibrary, classes: Sequence[frozenset[str]]) -> Examples:
    """Windows around the far end of each gesture, and of hands at rest; also mirrored."""
    kinds, own, labels, clips = classes_of(), [], [], []
    for number, gesture in enumerate(library.gestures):
        label = kinds.get(gesture.clip.family.lower())
        rows = features(gesture.clip.rotations)
        centres = [np.array([round(gesture.far * FPS) + step for step in _AROUND])]
        found = [] if label is None or label not in classes else [classes.index(label)]
        centres, found = ([*centres], found) if found else ([], [])
        for frames, index in [*zip(centres, found, strict=True), (np.arange(0, 4, 3), 0)]:
            own.append(windows(rows, frames))
            labels += [index] * len(frames)
            clips += [number] * len(frames)
    return Examples(np.concatenate(own), np.array(labels), np.array(clips))


@dataclass(frozen=True)
class Classifier:
    """Linear softmax classifier.

    Attributes:
        classes: kinds of gestures of each class; the first, empty one is rest.
        mean: mean of windows `[W]`.
        deviation: standard deviation of windows `[W]`.
        weights: weights and bias `[W + 1, C]`.

    """

    classes: tuple[frozenset[str], ...]
    mean: Floats
    deviation: Floats
    weights: Floats

    def scores(self, seen: Floats) -> Floats:
        """Log-probabilities `[N, C]` of windows `[N, W]`."""
        x = (seen - self.mean) / self.deviation
        found = np.concatenate([x, np.ones((len(x), 1))], axis=1) @ self.weights
        return np.asarray(found - np.logaddexp.reduce(found, axis=1, keepdims=True), np.float64)


def train(library: ClipLibrary) -> Classifier:
    """Classifier of the classes with clips in the library; deterministic."""
    kinds = classes_of()
    found = {kinds.get(g.clip.family.lower(), frozenset()) for g in library.gestures}
    classes = (frozenset[str](), *sorted((c for c in found if c), key=sorted))
    if len(classes) < 3:
        raise ConfigError("expected clips of at least two gesture classes")
    seen = examples(library, classes)
    mean, deviation = seen.windows.mean(0), np.maximum(seen.windows.std(0), 0.02)
    x = torch.from_numpy((seen.windows - mean) / deviation)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    weights = _fit(x, torch.from_numpy(seen.labels), len(classes))
    return Classifier(classes, mean, deviation, weights)


def _fit(x: torch.Tensor, labels: torch.Tensor, count: int) -> Floats:
    """Weights `[W, C]` of minimum cross-entropy, classes balanced by the square root of size."""
    shares = torch.bincount(labels, minlength=count).clamp(min=1).double()
    balance = shares.rsqrt() / shares.rsqrt()[labels].mean()
    weights = torch.zeros(x.shape[1], count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weights, labels, balance) + _DECAY * weights.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)
    return np.asarray(weights.detach().numpy(), np.float64)
