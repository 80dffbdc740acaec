"""Usage of a bundle's codebooks by given motions; needs a bundle with encoders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.metrics.codes import perplexity, usage
from engine.bundle.io import Bundle
from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.motion.skeleton import BodyPart
from training.data.windows import tensor_of
from training.sources.resample import resampled


def usable_parts(bundle: Bundle, motion: Motion) -> list[BodyPart]:
    """Parts that the bundle can encode; the face only in the bundle's own basis."""
    same = motion.format.face.name == bundle.config.face
    return [part for part in BodyPart if part is not BodyPart.FACE or same]


@torch.inference_mode()
def code_usage(bundle: Bundle, motions: Sequence[Motion]) -> dict[str, dict[str, Any]]:
    """Share of codes used and perplexity of each part over `motions`.

    ConfigError for a bundle without encoders.
    """
    if not bundle.config.include_encoders:
        raise ConfigError(
            f"{bundle.config.name} has no encoders, so motion cannot be encoded; build it with "
            "include_encoders = true"
        )
    result: dict[str, dict[str, Any]] = {}
    fitting = [resampled(motion, bundle.config.clock.frame_rate) for motion in motions]
    for part in usable_parts(bundle, fitting[0]):
        vae = bundle.parts[part]
        codes = [vae.nearest(vae.encode(tensor_of(part, motion)[None]))[0] for motion in fitting]
        every = torch.cat(codes).flatten().numpy().astype(np.int64)
        result[str(part)] = {
            "codes": vae.codes,
            "usage": round(usage(every, vae.codes), 4),
            "perplexity": round(perplexity(every), 2),
        }
    return result
