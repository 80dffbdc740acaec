"""Stage `rest-pose`: rest pose from the calm frames of clips or takes.

Writes OUT/rest.npz, a clip of one frame.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.motion.pose import Motion, PoseChunk
from engine.motion.skeleton import SMPLX_55
from training.data.clips import save_clip
from training.data.windows import load_folder
from training.sources.leg_ik import stand

DEFAULT_IDLES = ("ChrRachel_Idle02", "ChrConnor_IdleStand01", "ChrGarza_IdleStand01")
"""Idle clips that stand on both legs with hanging arms."""


def mean_rotation(q: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean `[4]` of unit quaternions `[N, 4]`, independent of their signs.

    Principal axis of their outer products (Markley et al. 2007).
    """
    q = q.astype(np.float64)
    _, vectors = np.linalg.eigh(q.T @ q)
    mean = vectors[:, -1]
    return mean if mean[0] >= 0 else -mean


def calm_frames(motion: Motion, share: float) -> NDArray[np.int64]:
    """Indices of the `share` of frames with the lowest mean joint speed."""
    points = motion.world_positions()
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1).mean(-1)
    return np.argsort(speed)[: max(1, int(share * len(speed)))]


def rest_pose(motions: list[Motion], share: float = 0.5) -> Motion:
    """Mean pose of the calm frames, standing at x = z = 0, as a motion of one frame."""
    chosen = [(motion, calm_frames(motion, share)) for motion in motions]
    rotations = np.concatenate([motion.poses.rotations[frames] for motion, frames in chosen])
    mean = np.stack([mean_rotation(rotations[:, j]) for j in range(rotations.shape[1])])
    points = np.concatenate([motion.world_positions()[frames] for motion, frames in chosen])
    # Relative to the hips, because the positions of the clips do not matter.
    hips = points[:, [SMPLX_55.index("left_hip"), SMPLX_55.index("right_hip")]].mean(1)
    at = np.array([[0.0, hips[:, 1].mean(), 0.0]])
    ankles = {}
    for side in ("left", "right"):
        spot = points[:, SMPLX_55.index(f"{side}_ankle")]
        offset = (spot - hips).mean(0)
        ankles[f"{side}_ankle"] = np.array([[offset[0], spot[:, 1].mean(), offset[2]]])
    return stand(mean[None].astype(np.float64), at, ankles)


@dataclass(frozen=True)
class RestSettings:
    """Settings of the stage.

    Attributes:
        source: folder of clips or takes in DATA.
        idles: names of the idle clips; empty: all clips.
        share: share of their frames that counts as calm.

    """

    source: str = "clips"
    idles: tuple[str, ...] = DEFAULT_IDLES
    share: float = 0.5


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Run the stage; the face is neutral, in the basis of the source."""
    settings = from_mapping(RestSettings, config)
    names = set(settings.idles)
    found = load_folder(data / settings.source, "train")
    motions = [m for m, meta in found if not names or meta["name"] in names]
    if not motions:
        wanted = f"none of {sorted(names)}" if names else "nothing"
        raise ConfigError(f"rest: {wanted} is in {data / settings.source}")
    poses = rest_pose(motions, settings.share).poses
    fmt = motions[0].format
    contacts, face = np.ones((1, 4), np.float32), np.zeros((1, fmt.face.width), np.float32)
    chunk = PoseChunk(0, poses.rotations, poses.translation, contacts, face)
    save_clip(out / "rest.npz", Motion(fmt, chunk), {"name": "rest", "idles": sorted(names)})
