"""PcmBlock: a block of mono samples with its capture time; and the conversion to clean samples."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import ShapeError
from engine.events import BAD_SAMPLE, EventCounter

NO_TIME = math.nan
_BAD_SAMPLES = (
    "the sound has samples that are no numbers (NaN or infinite); silence takes their place: "
    "check how it was recorded or converted"
)


@dataclass(frozen=True)
class PcmBlock:
    """Mono samples `[S]` float32 in -1..1 at the source's rate.

    captured_at: capture time of the LAST sample, `time.monotonic()` seconds; NaN from a source
    without a clock, such as a file.
    """

    samples: NDArray[np.float32]
    captured_at: float = NO_TIME


def to_float(samples: ArrayLike, events: EventCounter | None = None) -> NDArray[np.float32]:
    """Samples `[S]` (floating point in -1..1, or int16) as finite float32 `[S]`.

    NaN and infinite samples become silence, are counted in `events` as BAD_SAMPLE and noted.
    Raises ShapeError for more than one dimension and for any other number type.
    """
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ShapeError(
            f"expected mono samples of shape [S], got {array.shape}; mix channels down first"
        )
    if array.dtype == np.int16:
        return np.asarray(array * np.float32(1 / 32768), np.float32)
    if array.dtype.kind != "f":
        raise ShapeError(
            f"expected floating-point or int16 samples, got {array.dtype}; convert them first"
        )
    with np.errstate(over="ignore"):
        clean = np.asarray(array, np.float32)
    finite = np.isfinite(clean)
    if finite.all():
        return clean
    if events is not None:
        events.count(BAD_SAMPLE, int(clean.size - np.count_nonzero(finite)))
        events.note(_BAD_SAMPLES)
    return np.where(finite, clean, np.float32(0))
