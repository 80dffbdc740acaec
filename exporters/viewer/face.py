"""The face in motion: coefficients of a basis to the vertices of a whole head.

Supports all ARKit shapes; of FLAME only the jaw, which is a joint there. Bending parts follow
displacement fields, eyes and lids rotate, hair, ears and teeth are rigid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.motion import rotation
from engine.motion.face_basis import ARKIT_52, FaceBasis
from exporters.viewer import expressions, eyes, head
from exporters.viewer.expressions import Surface
from exporters.viewer.eyes import EyeWeights
from exporters.viewer.geometry import Mesh, Numbers

HEAD_SCALE: Final = 1.10  # a little larger than life, for distant viewers
SIDES: Final = (("Left", 1.0), ("Right", -1.0))
_STRONGEST: Final = 1.2  # larger weights would tear the mesh
_EYE_SHAPES: Final = ("Blink", "Wide", "Squint", "LookUp", "LookDown", "LookIn", "LookOut")


@dataclass(frozen=True)
class Piece:
    """A part of the head in one colour: the first `count` vertices after those before it."""

    colour: str
    mesh: Mesh

    @property
    def count(self) -> int:
        """Number of vertices."""
        return len(self.mesh.vertices)


@dataclass(frozen=True)
class _Turning:
    """Vertices `[V, 3]` about an eye's centre, and the turn `[4]` that an expression gives them."""

    local: Numbers
    centre: Numbers
    turn: Callable[[EyeWeights], Numbers]
    eye: int


class FaceRig:
    """A head for one face basis: `pieces` in the order of the vertices that `pose` returns."""

    def __init__(self, basis: FaceBasis) -> None:
        self._arkit = basis.name.startswith("arkit")
        names = basis.coefficients if self._arkit else ARKIT_52.coefficients
        place = {name: i for i, name in enumerate(names)}
        self._width = len(names)
        self._jaw, self._close = place["jawOpen"], place["mouthClose"]
        self._eyes = [[place[f"eye{shape}{side}"] for shape in _EYE_SHAPES] for side, _ in SIDES]
        bending = _bending_pieces()
        self.pieces = [piece for piece, _ in bending]
        self._bending = np.concatenate([surface.rest.ravel() for _, surface in bending])
        self._shapes = np.concatenate(
            [expressions.shape_matrix(surface, names) for _, surface in bending], axis=1
        )
        still = _still_pieces()
        self.pieces += still
        self._still = np.concatenate([piece.mesh.vertices for piece in still])
        self._turning: list[_Turning] = []
        for index, (_, side) in enumerate(SIDES):
            self._add_eye(index, side)

    def weights(self, coefficients: Numbers, jaw: Numbers) -> Numbers:
        """ARKit weights for `coefficients` `[E]` and the jaw joint's rotation `[4]` wxyz.

        The jaw joint counts only where the basis has no coefficient for it.
        """
        weights = np.zeros(self._width, np.float32)
        if self._arkit:
            np.clip(np.nan_to_num(coefficients), 0.0, _STRONGEST, out=weights)
        else:
            pitch = float(rotation.log(jaw)[0])
            weights[self._jaw] = np.clip(pitch / expressions.JAW_OPENING, 0.0, 1.0)
        # mouthClose undoes what the jaw opened; beyond that, lips would pass through each other.
        weights[self._close] = min(weights[self._close], weights[self._jaw])
        return weights

    def pose(self, coefficients: Numbers, jaw: Numbers) -> Numbers:
        """Vertices `[V, 3]` of all pieces in the head joint's frame, metres."""
        weights = self.weights(coefficients, jaw)
        bent = (self._bending + weights @ self._shapes).reshape(-1, 3)
        looks = [EyeWeights(*map(float, weights[eye])) for eye in self._eyes]
        turned = [
            part.local @ rotation.to_matrix(part.turn(looks[part.eye])).T + part.centre
            for part in self._turning
        ]
        return HEAD_SCALE * np.concatenate([bent, self._still, *turned])

    def _add_eye(self, index: int, side: float) -> None:
        centre = head.EYE * np.array([side, 1.0, 1.0], np.float32)
        groups: tuple[tuple[Callable[[EyeWeights], Numbers], list[Piece]], ...] = (
            (
                lambda eye: eyes.gaze(eye, side),
                [
                    Piece("white", eyes.eyeball()),
                    Piece("iris", eyes.disc(0.52, 0.0002)),
                    Piece("dark", eyes.disc(0.25, 0.0005)),
                ],
            ),
            (
                lambda eye: eyes.about_x(eyes.lid_angles(eye)[0]),
                [Piece("lid", eyes.upper_lid()), Piece("dark", eyes.lash())],
            ),
            (
                lambda eye: eyes.about_x(eyes.lid_angles(eye)[1]),
                [Piece("lid", eyes.lower_lid())],
            ),
        )
        for turn, pieces in groups:
            self.pieces += pieces
            local = np.concatenate([piece.mesh.vertices for piece in pieces])
            self._turning.append(_Turning(local, centre, turn, index))


def _bending_pieces() -> list[tuple[Piece, Surface]]:
    grid = head.build_grid()
    whole = expressions.surface_of(grid)
    result = []
    for colour, part in (("skin", grid.skin), ("lips", grid.mouth), ("mouth", grid.bag)):
        surface = Surface(whole.rest[part], whole.lower[part], whole.lips[part])
        result.append((Piece(colour, grid.mesh(part)), surface))
    for _, side in SIDES:
        brow = head.brow_mesh(side)
        result.append((Piece("hair", brow), _uniform(brow, lower=0.0)))
    tongue = head.tongue_mesh()
    return [*result, (Piece("tongue", tongue), _uniform(tongue, lower=0.85))]


def _uniform(mesh: Mesh, lower: float) -> Surface:
    """A part that is wholly above (0) the mouth's opening, or goes with the jaw."""
    count = len(mesh.vertices)
    follows = np.full(count, float(lower > 0.0), np.float32)
    return Surface(mesh.vertices, np.full(count, lower, np.float32), follows)


def _still_pieces() -> list[Piece]:
    return [
        Piece("hair", head.hair_mesh()),
        Piece("skin", head.ears_mesh()),
        Piece("white", head.teeth_mesh()),
    ]
