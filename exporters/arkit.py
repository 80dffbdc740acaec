"""ARKit blendshapes as VRM avatars know them.

An avatar with "perfect sync" has the 52 ARKit names in PascalCase; every VRM 0 avatar has the
presets A I U E O Blink Blink_L Blink_R Joy Angry Sorrow Fun. This file makes both from the ARKit
coefficients of a pose. It knows no protocol; a face basis without a map gives None.

The presets are products of ARKit weights, so that each is 0 while the face rests, a closed mouth
shows no vowel, and the vowels never open the mouth further than the jaw and the lips do.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.motion.face_basis import ARKIT_51, ARKIT_52, ARKIT_52_NAMES, FaceBasis

VRM_PRESETS: Final[tuple[str, ...]] = (
    *("A", "I", "U", "E", "O", "Blink", "Blink_L", "Blink_R"),
    *("Joy", "Angry", "Sorrow", "Fun"),
)
PERFECT_SYNC_NAMES: Final[tuple[str, ...]] = tuple(n[0].upper() + n[1:] for n in ARKIT_52_NAMES)
BLEND_NAMES: Final[tuple[str, ...]] = VRM_PRESETS + PERFECT_SYNC_NAMES

# Speech opens an ARKit jaw to about half; a VRM "A" of 1 is an ordinary open vowel.
_OPENING_GAIN: Final = 2.0


class BlendMap:
    """Turns the coefficients of one face basis into weights named `BLEND_NAMES`."""

    def __init__(self, coefficients: Sequence[str]) -> None:
        # A coefficient that the basis lacks (tongueOut) reads a zero put behind the others.
        absent = len(coefficients)
        place = {name: i for i, name in enumerate(coefficients)}
        self._order = np.array([place.get(name, absent) for name in ARKIT_52_NAMES])
        self._padded = np.zeros(absent + 1, np.float32)

    def weights(self, face: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write the weights of `face` `[E]` into `out` `[64]`, all within 0..1."""
        self._padded[:-1] = face
        arkit = out[len(VRM_PRESETS) :]
        self._padded.take(self._order, out=arkit, mode="clip")
        np.maximum(arkit, 0.0, out=arkit)
        np.minimum(arkit, 1.0, out=arkit)
        out[: len(VRM_PRESETS)] = _presets(arkit.take(_EXPRESSIVE).tolist())


def blend_map(basis: FaceBasis) -> BlendMap | None:
    """The map for `basis`, or None where there is none (flame100)."""
    if basis.name not in (ARKIT_51.name, ARKIT_52.name):
        return None
    return BlendMap(basis.coefficients)


# The coefficients that `_presets` takes, in this order.
_EXPRESSIVE: Final = np.array(
    [
        ARKIT_52_NAMES.index(name)
        for name in (
            *("jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
            *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
            *("mouthFrownLeft", "mouthFrownRight", "eyeBlinkLeft", "eyeBlinkRight"),
            *("cheekSquintLeft", "cheekSquintRight", "browDownLeft", "browDownRight"),
            "browInnerUp",
        )
    ]
)


def _presets(weights: Sequence[float]) -> tuple[float, ...]:
    """The twelve presets from the weights of `_EXPRESSIVE`, each in 0..1.

    Plain floats: at this size they are several times faster than array operations.
    """
    jaw, close, funnel, pucker, smile_l, smile_r, stretch_l, stretch_r, *others = weights
    frown_l, frown_r, blink_l, blink_r, squint_l, squint_r, brow_l, brow_r, brow_in = others
    # mouthClose brings the lips together over an open jaw.
    opening = min(1.0, _OPENING_GAIN * (jaw - close)) if jaw > close else 0.0
    rounding = funnel if funnel > pucker else pucker
    smile = (smile_l + smile_r) / 2
    # A smile is a vowel's width only while the mouth is open; a silent smile shows no vowel.
    width = min(1.0, (stretch_l + stretch_r) / 2 + smile * opening)
    spread = 1.0 - rounding
    closed = 1.0 - opening
    # Blink and the one-sided lids add up in receivers, so each lid's sum is its own weight.
    both = blink_l if blink_l < blink_r else blink_r
    squint = (squint_l + squint_r) / 2
    return (
        opening * spread * (1.0 - width),
        closed * spread * width,
        closed * rounding,
        opening * spread * width,
        opening * rounding,
        both,
        blink_l - both,
        blink_r - both,
        smile * squint,
        (brow_l + brow_r) / 2 * (1.0 - smile),
        (frown_l + frown_r) / 2 * brow_in,
        smile * (1.0 - squint),
    )
