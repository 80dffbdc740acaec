"""Code selection without sampling, codebook usage and perplexity."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.bundle.io import Bundle
from engine.generate.sampling import CodeSelection
from engine.model.types import WindowOutputs
from engine.motion.skeleton import BodyPart


def selected_codes(bundle: Bundle, part: BodyPart, outputs: WindowOutputs) -> Tensor:
    """Codes `[B, T]` that the bundle selects for a part without sampling."""
    p, vae = list(BodyPart).index(part), bundle.parts[part]
    if bundle.config.code_selection.get(part) is CodeSelection.NEAREST_LATENT:
        return vae.nearest(outputs.latents[p])
    return vae.codes_from_classes(outputs.logits[p].argmax(-1), outputs.latents[p])


def usage(codes: NDArray[np.int64], size: int) -> float:
    """Share of `size` codes that occur in `codes` `[N]`."""
    return len(np.unique(codes)) / size


def perplexity(codes: NDArray[np.int64]) -> float:
    """Effective number of codes: e to the entropy of their shares."""
    counts = np.unique(codes, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
