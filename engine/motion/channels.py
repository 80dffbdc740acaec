"""Layouts: the named channels of model vectors, so that no slice literal stands anywhere else.

A layout accounts for every channel of a vector: packing demands all fields, unpacking gives all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import ShapeError
from engine.motion.rotation import Array, namespace
from engine.motion.skeleton import PART_JOINTS, BodyPart

SIXD = 6


@dataclass(frozen=True)
class Field:
    """`width` successive channels called `name`."""

    name: str
    width: int


@dataclass(frozen=True)
class Layout:
    """An ordered list of fields that makes up a vector of `width` channels."""

    name: str
    fields: tuple[Field, ...]
    width: int = field(init=False, compare=False)
    _slices: dict[str, slice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Not by cached_property: its lock, up to Python 3.11, stops torch.compile.
        slices, start = dict[str, slice](), 0
        for each in self.fields:
            slices[each.name] = slice(start, start + each.width)
            start += each.width
        object.__setattr__(self, "width", start)
        object.__setattr__(self, "_slices", slices)

    def slice(self, name: str) -> slice:
        """Range of field `name`; ShapeError for an unknown one."""
        if name not in self._slices:
            raise ShapeError(f"{self.name} has no field {name!r}; it has {', '.join(self._slices)}")
        return self._slices[name]

    def channels(self, name: str) -> list[int]:
        """Channel indices of field `name`."""
        where = self.slice(name)
        return list(range(where.start, where.stop))

    def pack(self, values: Mapping[str, Array]) -> Array:
        """Join one `[..., width]` array for each field into `[..., self.width]`."""
        if set(values) != set(self._slices):
            raise ShapeError(
                f"{self.name} is packed from {sorted(self._slices)}, got {sorted(values)}"
            )
        for each in self.fields:
            if values[each.name].shape[-1] != each.width:
                raise ShapeError(
                    f"{self.name}.{each.name} must end in {each.width} channels, "
                    f"got shape {tuple(values[each.name].shape)}"
                )
        ordered = [values[each.name] for each in self.fields]
        return namespace(ordered[0]).concatenate(ordered, -1)

    def unpack(self, vector: Array) -> dict[str, Array]:
        """Split `[..., self.width]` into its fields (views)."""
        if vector.shape[-1] != self.width:
            raise ShapeError(
                f"{self.name} has {self.width} channels, got shape {tuple(vector.shape)}"
            )
        return {name: vector[..., where] for name, where in self._slices.items()}


MOTION = Layout("motion", (Field("rot6d", 55 * SIXD), Field("translation", 3), Field("contact", 4)))
"""The 337-vector of a frame in the gesture transformer's input (EMAGE section 4.2).

`translation` holds the output of the lower decoder: x and z velocity (channels 0, 2; m/s) and
height (channel 1; m), never an absolute position on the ground.
"""

MOTION_TOKENS: tuple[int, ...] = (SIXD,) * 55 + (3, 4)
"""Widths of the pieces of MOTION that are masked as one: joints, translation, contacts."""

LOCAL_MOTION = Layout("local motion", (Field("rot6d", 55 * SIXD), Field("contact", 4)))
"""The 334-vector that the paper's global motion predictor takes (EMAGE supplement D)."""


def joint_channels(joints: Sequence[int]) -> list[int]:
    """Channels of the 6D rotations of `joints` within `[..., J * 6]`."""
    return [joint * SIXD + i for joint in joints for i in range(SIXD)]


def part_layout(part: BodyPart, face_width: int) -> Layout:
    """The vector that a part's VQ-VAE encodes: 78, 180, 61, or 6 + `face_width` channels wide."""
    rotation = Field("rot6d", len(PART_JOINTS[part]) * SIXD)
    if part is BodyPart.LOWER:
        return Layout(part, (rotation, Field("translation", 3), Field("contact", 4)))
    if part is BodyPart.FACE:
        return Layout(part, (rotation, Field("face", face_width)))
    return Layout(part, (rotation,))
