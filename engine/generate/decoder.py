"""Codes to poses: the part decoders and the root motion. Stateless.

Decodes a range of codes that begins `context` frames before the first wanted frame, so that every
wanted frame has its whole left context; a decoder with right context gets the codes predicted
beyond the hop.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from engine.model.part_vae import PartVae
from engine.model.root_motion import RootModel, local_motion
from engine.motion.channels import MOTION, SIXD, joint_channels, part_layout
from engine.motion.rotation import from_sixd, to_sixd
from engine.motion.skeleton import PART_JOINTS, SMPLX_55, BodyPart

REST_SIXD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The identity as a 6D rotation."""


SEAM_FRAMES: Final = 2
"""Frames already emitted that every hop decodes again, to measure the seam and its rate."""


class Decoded(NamedTuple):
    """T decoded frames of B streams.

    Attributes:
        rotations: `[B, T, J, 4]`.
        face: `[B, T, E]`.
        contacts: `[B, T, 4]`, 0..1.
        root_motion: `[B, T, 3]`, x velocity (m/s), height (m), z velocity (m/s).
        motion: `[B, T, 337]` to feed back as a seed: orthonormal rotations and the lower decoder's
            own last seven channels.

    """

    rotations: Tensor
    face: Tensor
    contacts: Tensor
    root_motion: Tensor
    motion: Tensor


def to_cpu(decoded: Decoded) -> Decoded:
    """All fields on the CPU but `motion`, which goes back to the model."""
    rotations, face, contacts, root_motion = (tensor.cpu() for tensor in decoded[:-1])
    return Decoded(rotations, face, contacts, root_motion, decoded.motion)


def world_space_seed(decoded: Decoded, start: Tensor, frame_rate: int) -> Tensor:
    """Seed motion `[B, T, 337]` in the form of emage-text (2024).

    The jaw at rest, and instead of the lower decoder's own velocities their integral, beside its
    own height; the output of the root model is not used. start `[B, 2]`: x and z of the first
    frame.
    """
    fields = MOTION.unpack(decoded.motion.clone())
    jaw = joint_channels([SMPLX_55.joint_names.index("jaw")])
    fields["rot6d"][..., jaw] = fields["rot6d"].new_tensor(REST_SIXD)
    start = start.to(decoded.motion.device)
    own = fields["translation"]
    steps = own[:, :-1, 0::2] / frame_rate
    ground = torch.cat((start[:, None], start[:, None] + steps.cumsum(1)), 1)
    fields["translation"] = torch.cat((ground[..., :1], own[..., 1:2], ground[..., 1:]), -1)
    return MOTION.pack(fields)


def _order() -> list[int]:
    """Indices of the channels of all joints among those of all parts and one joint at rest."""
    owned = [channel for part in BodyPart for channel in joint_channels(PART_JOINTS[part])]
    rest = [len(owned) + i for i in range(SIXD)]
    every = joint_channels(range(len(SMPLX_55.joint_names)))
    return [owned.index(c) if c in owned else rest[c % SIXD] for c in every]


class _Joints(nn.Module):
    """Joins the joints of all parts to the skeleton; joints without a part are at rest.

    A module only for its constants: they move with the networks to a device, so that no step copies
    them there, which a recorded graph could not do.
    """

    rest: Tensor
    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rest", torch.tensor(REST_SIXD), persistent=False)
        self.register_buffer("order", torch.tensor(_order()), persistent=False)

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """Quaternions `[B, T, J, 4]` of each part's 6D rotations `[B, T, 6 * its joints]`."""
        device = parts[0].device
        rest = self.rest.to(device).expand(*parts[0].shape[:2], SIXD)
        sixd = torch.cat((*parts, rest), -1).index_select(-1, self.order.to(device))
        rotations: Tensor = from_sixd(sixd.reshape(*sixd.shape[:-1], -1, SIXD))
        return rotations


class Decoder(Protocol):
    """Decodes the codes of a stream: PoseDecoder, or one of `engine.kernels.compiled_decoder`."""

    @property
    def context(self) -> int:
        """Earlier codes that a frame depends on; a stream stores one more."""

    def decode(self, codes: Tensor, last: int) -> Decoded:
        """The last `last` frames of codes `[B, P, T]` int64 (parts in BodyPart order)."""


class PoseDecoder:
    """Decodes the codes of all four parts together.

    Input of the root model: the vector of the lower body, with the fields `masked_fields` set to
    zero and its rotations made orthonormal if `orthonormalize`; or, if `whole_body`,
    `engine.model.root_motion.local_motion`.
    """

    def __init__(
        self,
        parts: Mapping[BodyPart, PartVae],
        global_motion: RootModel,
        *,
        face_width: int,
        masked_fields: tuple[str, ...] = (),
        orthonormalize: bool = False,
        whole_body: bool = False,
    ) -> None:
        self._parts = parts
        self._global = global_motion
        self._layouts = {part: part_layout(part, face_width) for part in BodyPart}
        self._zeroed = masked_fields
        self._orthonormal = orthonormalize
        self._whole_body = whole_body
        joints = _Joints()
        self._joints = joints.to(next(global_motion.parameters(), joints.rest).device)

    @property
    def networks(self) -> list[nn.Module]:
        """All modules that decode."""
        return [*self._parts.values(), self._global, self._joints]

    @property
    def codebooks(self) -> list[int]:
        """Number of codes of each part, in the order of BodyPart."""
        return [self._parts[part].codes for part in BodyPart]

    @property
    def context(self) -> int:
        """Earlier codes that a frame depends on."""
        return self._reach(
            [m.left_context for m in self._parts.values()], self._global.left_context
        )

    @property
    def edge(self) -> int:
        """Later codes that a frame depends on; 0 if all decoders are causal."""
        parts = [m.right_context for m in self._parts.values()]
        return self._reach(parts, self._global.right_context)

    def _reach(self, parts: list[int], beyond: int) -> int:
        """The largest context: the root model takes decoded frames."""
        seen = max(parts) if self._whole_body else parts[list(self._parts).index(BodyPart.LOWER)]
        return max(seen + beyond, *parts)

    @torch.inference_mode()
    def decode(self, codes: Tensor, last: int) -> Decoded:
        """The last `last` frames of codes `[B, P, T]` int64 (parts in BodyPart order).

        Computes only the frames that these depend on.
        """
        return self.decoded(codes, last)

    def decoded(self, codes: Tensor, last: int) -> Decoded:
        """The same in PyTorch's present gradient mode, for graphs."""
        far = last + self._global.left_context  # input of the root model
        fields = {}
        for p, part in enumerate(BodyPart):
            wanted = far if self._whole_body or part is BodyPart.LOWER else last
            decoded = self._parts[part].decode_codes(codes[:, p], wanted)
            fields[part] = self._layouts[part].unpack(decoded)
        lower = fields[BodyPart.LOWER]
        seen = min(far if self._whole_body else last, codes.shape[2])
        parts = [fields[part]["rot6d"][:, -seen:] for part in BodyPart]
        rotations = self._joints(parts)
        if self._whole_body:
            shown = local_motion(rotations, lower["contact"].clamp(0.0, 1.0))
            root_motion = self._global(shown, last)
            rotations = rotations[:, -last:]
        else:
            root_motion = self._root_motion(lower, last)
        contact = lower["contact"][:, -last:]
        motion = MOTION.pack(
            {
                "rot6d": to_sixd(rotations).flatten(-2),
                "translation": lower["translation"][:, -last:],
                "contact": contact,
            }
        )
        face = fields[BodyPart.FACE]["face"][:, -last:]
        return Decoded(rotations, face, contact.clamp(0.0, 1.0), root_motion, motion)

    def _root_motion(self, lower: dict[str, Tensor], last: int) -> Tensor:
        """X velocity, height and z velocity `[B, last, 3]`."""
        layout = self._layouts[BodyPart.LOWER]
        shown = {
            name: torch.zeros_like(value) if name in self._zeroed else value
            for name, value in lower.items()
        }
        if self._orthonormal:
            sixd = shown["rot6d"]
            joints = sixd.reshape(*sixd.shape[:-1], -1, SIXD)
            shown["rot6d"] = to_sixd(from_sixd(joints)).flatten(-2)
        out = self._global(layout.pack(shown), last)
        return out if out.shape[-1] == 3 else layout.unpack(out)["translation"]
