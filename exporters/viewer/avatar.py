"""The whole avatar: body and head as one set of meshes, one for each colour.

All parts are vertices in world metres, so that no part is shown a frame before another.
"""

from typing import Final

import numpy as np

from engine.motion import rotation
from engine.motion.pose import FloatArray, PoseFormat, PoseFrame
from exporters.viewer.face import FaceRig
from exporters.viewer.figure import Figure
from exporters.viewer.geometry import Faces

DOUBLE_SIDED: Final = ("hair", "lid", "mouth")


class Avatar:
    """The avatar for one format. `faces` holds `[F, 3]` vertex indices for each colour.

    head_position: where the head joint was in the last pose, `[3]` metres.
    """

    def __init__(self, fmt: PoseFormat) -> None:
        self._figure, self._rig = Figure(fmt.skeleton), FaceRig(fmt.face)
        names = fmt.skeleton.joint_names
        self._jaw = names.index("jaw") if "jaw" in names else 0
        self.head_position: FloatArray = np.zeros(3, np.float32)
        self._neutral = np.zeros(fmt.face.width, np.float32)
        self._joints = len(names)
        height = fmt.skeleton.rest_height - fmt.skeleton.offsets[0, 1]
        self._standing = np.array([0.0, height, 0.0], np.float32)
        self.faces: dict[str, Faces] = dict(self._figure.faces)
        # Vertices of the head by colour: which of them, in which order.
        self._picked: dict[str, list[slice]] = {}
        sizes = {name: len(v) for name, v in self.rest_body().items()}
        start = 0
        for piece in self._rig.pieces:
            self._picked.setdefault(piece.colour, []).append(slice(start, start + piece.count))
            start += piece.count
            before = sizes.get(piece.colour, 0)
            faces = piece.mesh.faces + np.uint32(before)
            known = self.faces.get(piece.colour)
            self.faces[piece.colour] = faces if known is None else np.concatenate([known, faces])
            sizes[piece.colour] = before + piece.count

    def rest_body(self) -> dict[str, FloatArray]:
        """The body's own vertices in the T-pose, by colour."""
        still = rotation.identity(self._joints)
        return dict(self._figure.pose(still, np.zeros(3, np.float32)).parts)

    def rest(self) -> dict[str, FloatArray]:
        """The T-pose with a neutral face, standing on the floor."""
        return self._vertices(rotation.identity(self._joints), self._standing, self._neutral)

    def vertices(self, frame: PoseFrame) -> dict[str, FloatArray]:
        """Vertices `[V, 3]` in world metres by colour, in the order that `faces` counts."""
        return self._vertices(frame.rotations, frame.translation, frame.face)

    def _vertices(
        self, rotations: FloatArray, translation: FloatArray, face: FloatArray
    ) -> dict[str, FloatArray]:
        body = self._figure.pose(rotations, translation)
        self.head_position = body.head_position
        head = self._rig.pose(face, rotations[self._jaw])
        head = head @ rotation.to_matrix(body.head_rotation).T + body.head_position
        result = dict(body.parts)
        for colour, slices in self._picked.items():
            own = [result[colour]] if colour in result else []
            result[colour] = np.concatenate([*own, *(head[part] for part in slices)])
        return {name: np.ascontiguousarray(v, np.float32) for name, v in result.items()}
