"""How one holds oneself: joints of trunk and head turned by the same angles in every frame.

A network that takes likely codes settles in poses that its data seldom hold: a chest that leans
back and a head that hangs. What is constant of that can be made good. Legs stay as they are, as
feet would slide, and so do arms, which would reach elsewhere.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.joint_offsets import turned

JOINTS: Final = ("spine1", "spine2", "spine3", "neck", "head")
MOST_DEGREES: Final = 30.0


@dataclass(frozen=True)
class PostureConfig:
    """turns: degrees about a joint's own axes X, Y, Z, by its name; X forward, Y to the left, Z to
    the right shoulder.
    """

    turns: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, angles in self.turns.items():
            require(name in JOINTS, "turns", f"of {', '.join(JOINTS)}", name)
            fits = all(abs(angle) <= MOST_DEGREES for angle in angles)
            require(fits, f"turns.{name}", f"within {MOST_DEGREES:g} degrees", angles)


class Posture:
    """The posture of one stream; remembers nothing."""

    def __init__(self, config: PostureConfig) -> None:
        self._joints = [SMPLX_55.index(name) for name in config.turns]
        self._vectors = np.radians(np.array([*config.turns.values()], float).reshape(-1, 3))

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with its joints turned."""
        if not self._joints:
            return chunk
        rotations = chunk.rotations.copy()
        turned(rotations, self._joints, self._vectors)
        return replace(chunk, rotations=rotations)
