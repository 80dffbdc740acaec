"""From a checkpoint's sizes and tensors to a bundle: what both published layouts share."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from engine.bundle.checkpoints.load_report import LoadReport, joined
from engine.bundle.checkpoints.load_tensors import Network, check_positions, fill
from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import Bundle, unfilled_bundle
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
GLOBAL: Final = "global_motion"
_LIVE_HOP: Final = 8
_STILL_FRAMES: Final = 64


def part_key(part: BodyPart) -> str:
    """The key of a part's network in a bundle."""
    return f"parts.{part}"


def channels(part: BodyPart) -> int:
    """Width of a part's vector in both layouts."""
    return part_layout(part, FACE.width).width


def live_schedule(window: int) -> Schedule:
    """Streaming with all of the window's history visible. A choice of ours: nothing published."""
    return Schedule(window, window - _LIVE_HOP, _LIVE_HOP)


def published(layout: str) -> Provenance:
    """What can be said of weights that are not ours."""
    return Provenance(
        licence="that of the checkpoint: its files name none; see where it was published",
        data=("by its publication BEAT2, which is for non-commercial research",),
        command="",
        notes=(f"read from a published EMAGE checkpoint, layout {layout}",),
    )


SAMPLING: Final = SamplingConfig(temperature=0.0)
HANDS: Final = HandReference.SMPLX_MEAN


def assemble(
    config: BundleConfig, networks: Mapping[str, Network], tell: Callable[[LoadReport], None]
) -> Bundle:
    """The bundle; `tell` hears what became of the tensors before any of them is refused.

    networks: by the key of the bundle's module. Raises BundleError.
    """
    _check_codes(config)
    bundle = unfilled_bundle(config)
    modules = bundle.modules()
    report = joined([fill(modules[key], networks[key]) for key in modules])
    tell(report)
    report.require()
    check_positions(networks[GESTURE], bundle.gesture.positions)
    return replace(bundle, rest_codes=still_codes(bundle.parts))


def _check_codes(config: BundleConfig) -> None:
    """The network speaks of the codebooks that are there."""
    for part, vae in config.parts.items():
        latent = config.code_selection[part] is CodeSelection.NEAREST_LATENT
        what = "latents of width" if latent else "scores for"
        given = config.gesture.code_dim if latent else config.gesture.codes
        there = vae.code_dim if latent else vae.codes
        if given != there:
            raise BundleError(
                f"the network gives {what} {given} for {part}, whose codebook has {vae.codes} "
                f"codes of width {vae.code_dim}: the files are not of one release"
            )


@torch.no_grad()
def still_codes(parts: Mapping[BodyPart, PartVae]) -> Tensor:
    """Codes `[P]` of standing still at the origin, as the encoders see it."""
    codes = []
    for part in BodyPart:
        layout = part_layout(part, FACE.width)
        still = {field.name: torch.zeros(field.width) for field in layout.fields}
        still["rot6d"] = torch.tensor(REST_SIXD).repeat(still["rot6d"].shape[0] // SIXD)
        if "contact" in still:
            still["contact"].fill_(1.0)
        clip = layout.pack(still).expand(1, _STILL_FRAMES, -1)
        # In the middle neither end of the clip is seen.
        codes.append(parts[part].nearest(parts[part].encode(clip))[0, _STILL_FRAMES // 2])
    return torch.stack(codes)
