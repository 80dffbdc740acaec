"""Builds a bundle from the sizes and tensors of a checkpoint of either layout."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from engine.bundle.checkpoints.load_report import LoadReport, joined
from engine.bundle.checkpoints.load_tensors import Network, check_positions, fill
from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import Bundle, uninitialized_bundle
from engine.errors import BundleError
from engine.generate.decoder import REST_SIXD
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.model.part_vae import PartVae
from engine.motion.channels import SIXD, part_layout
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference
from engine.motion.skeleton import BodyPart

FACE: Final = FLAME_100
GESTURE: Final = "gesture"
ROOT: Final = "global_motion"  # the prefix of its tensors in a bundle
_LIVE_HOP: Final = 8
_REST_FRAMES: Final = 64


def part_key(part: BodyPart) -> str:
    """Key of a part's network in a bundle."""
    return f"parts.{part}"


def channels(part: BodyPart) -> int:
    """Width of a part's vector, the same in both layouts."""
    return part_layout(part, FACE.width).width


def live_schedule(window: int) -> Schedule:
    """Schedule for streams with the whole history as seed. Our choice; none is published."""
    return Schedule(window, window - _LIVE_HOP, _LIVE_HOP)


def published(layout: str) -> Provenance:
    """Provenance of published weights."""
    return Provenance(
        licence="that of the checkpoint; its files contain none, see its publication",
        data=("according to its publication BEAT2, which is for non-commercial research",),
        command="",
        notes=(f"read from a published EMAGE checkpoint, layout {layout}",),
    )


SAMPLING: Final = SamplingConfig(temperature=0.0)
HANDS: Final = HandReference.SMPLX_MEAN


def assemble(
    config: BundleConfig, networks: Mapping[str, Network], on_report: Callable[[LoadReport], None]
) -> Bundle:
    """Build the bundle; `on_report` is called before the first wrong tensor raises BundleError.

    networks: by the key of the bundle's module.
    """
    _check_codes(config)
    bundle = uninitialized_bundle(config)
    modules = bundle.modules()
    report = joined([fill(modules[key], networks[key]) for key in modules])
    on_report(report)
    report.require()
    check_positions(networks[GESTURE], bundle.gesture.positions)
    return replace(bundle, rest_codes=rest_codes_of(bundle.parts))


def _check_codes(config: BundleConfig) -> None:
    """Raise BundleError if the transformer and the codebooks do not match."""
    for part, vae in config.parts.items():
        latent = config.code_selection[part] is CodeSelection.NEAREST_LATENT
        outputs = "latents of width" if latent else "scores for"
        got = config.gesture.code_dim if latent else config.gesture.codes
        expected = vae.code_dim if latent else vae.codes
        if got != expected:
            raise BundleError(
                f"the network gives {outputs} {got} for {part}, whose codebook has {vae.codes} "
                f"codes of width {vae.code_dim}: the files are not of one release"
            )


@torch.no_grad()
def rest_codes_of(parts: Mapping[BodyPart, PartVae]) -> Tensor:
    """Encode identity rotations at the origin to one code per part, `[P]` int64."""
    codes = []
    for part in BodyPart:
        layout = part_layout(part, FACE.width)
        rest = {field.name: torch.zeros(field.width) for field in layout.fields}
        rest["rot6d"] = torch.tensor(REST_SIXD).repeat(rest["rot6d"].shape[0] // SIXD)
        if "contact" in rest:
            rest["contact"].fill_(1.0)
        clip = layout.pack(rest).expand(1, _REST_FRAMES, -1)
        # The receptive field of the middle frame reaches neither end.
        codes.append(parts[part].nearest(parts[part].encode(clip))[0, _REST_FRAMES // 2])
    return torch.stack(codes)
