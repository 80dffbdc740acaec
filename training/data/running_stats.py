"""Running statistics of a corpus: mean and deviation of all channels, joint speeds.

The sums of takes can be added, so that several processes can share the work.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.motion.channels import MOTION
from engine.motion.pose import Motion
from engine.motion.skeleton import SMPLX_55
from training.data.clips import write_json
from training.data.vectors import motion_vector

FloatArray = NDArray[np.float64]
FILE = "statistics.json"


@dataclass(frozen=True)
class Totals:
    """Sums over frames.

    Attributes:
        frames: number of frames.
        values: sums of the motion channels `[337]`.
        squares: sums of their squares `[337]`.
        speeds: sums of joint speeds `[55]`, m/s.
        steps: number of frame pairs in `speeds`.

    """

    frames: int
    values: FloatArray
    squares: FloatArray
    speeds: FloatArray
    steps: int

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.frames + other.frames,
            self.values + other.values,
            self.squares + other.squares,
            self.speeds + other.speeds,
            self.steps + other.steps,
        )

    def numbers(self) -> dict[str, Any]:
        """Lists by key: `mean` and `std` of the motion vector (337), `joint_speed` in m/s (55)."""
        count = max(self.frames, 1)
        mean = self.values / count
        spread = np.sqrt(np.maximum(self.squares / count - mean**2, 0.0))
        speed = self.speeds / max(self.steps, 1)
        lists = {"mean": mean, "std": spread, "joint_speed": speed}
        rounded = {key: [round(float(x), 6) for x in array] for key, array in lists.items()}
        return {"frames": self.frames, "joints": list(SMPLX_55.joint_names), **rounded}


def no_totals() -> Totals:
    """Sums over zero frames."""
    wide, joints = MOTION.width, len(SMPLX_55.joint_names)
    return Totals(0, np.zeros(wide), np.zeros(wide), np.zeros(joints), 0)


def totals_of(motion: Motion) -> Totals:
    """Sums over the frames of one motion."""
    vectors = motion_vector(motion).astype(np.float64)
    places = motion.world_positions().astype(np.float64)
    moved = np.linalg.norm(np.diff(places, axis=0), axis=-1) * motion.format.clock.frame_rate
    return Totals(len(vectors), vectors.sum(0), np.square(vectors).sum(0), moved.sum(0), len(moved))


def write_totals(folder: Path, totals: Totals) -> None:
    """Write FOLDER/statistics.json atomically."""
    write_json(folder / FILE, totals.numbers())
