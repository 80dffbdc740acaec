"""Procedural blinks: closure of the eyelids per frame.

Blink times are random, so that a regression model of the face hardly blinks. Procedural blinks come
at irregular intervals, sometimes in pairs, and more often soon after the end of a phrase. A draw
depends only on seed and frame, and the state only on the voice activity so far.
"""

from dataclasses import dataclass, replace

import numpy as np

from engine.config.serialize import require
from engine.errors import ConfigError
from engine.motion.face_basis import FaceBasis
from engine.motion.pose import FrameFlag, PoseChunk
from engine.postprocess.counter_rng import RandomStream, counter_rng

LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
WIDE = ("eyeWideLeft", "eyeWideRight")
MAX_PER_MINUTE = 40.0

_SPANS_S = ((0.10, 0.05, 0.16), (0.13, 0.07, 0.25))
"""Minimum and maximum of closing, closed and opening time; closed for at least a frame."""
_MIN_DISTANCE_S = 0.5  # between the starts of two blinks; longer than a blink
_PAIR_SHARE = 0.08  # of blinks that are followed by a second one at once
_PAIR_DISTANCE_S = (_MIN_DISTANCE_S, 0.7)
_REFRACTORY_S = 0.7  # minimum distance of two planned blinks
_SPREAD = 0.75  # standard deviation of the logarithm of an interval: irregular, with a long tail
_PHRASE_SHARE = 0.7  # of phrase ends that advance a planned blink
_PHRASE_REACH_S = 3.0  # blinks planned within this time can be advanced
_PHRASE_DELAY_S = 0.25


@dataclass(frozen=True)
class BlinkConfig:
    """Procedural blinks.

    Attributes:
        per_minute: mean blink rate, per minute, in speech and silence; above 0, at most 40.

    """

    per_minute: float = 17.0

    def __post_init__(self) -> None:
        fits = 0.0 < self.per_minute <= MAX_PER_MINUTE
        require(fits, "per_minute", f"above 0 and at most {MAX_PER_MINUTE:g}", self.per_minute)


def lid_columns(basis: FaceBasis) -> tuple[list[int], list[int]]:
    """Indices of LIDS and of WIDE; raises ConfigError if the basis lacks one."""
    missing = [name for name in LIDS + WIDE if name not in basis.coefficients]
    if missing:
        raise ConfigError(
            f"blinks need a face with {', '.join(LIDS + WIDE)}, such as arkit51 or arkit52; "
            f"{basis.name} has no {missing[0]}: leave `blinks` out"
        )
    lids, wide = ([basis.coefficients.index(name) for name in names] for names in (LIDS, WIDE))
    return lids, wide


def closure(elapsed: float, closing: float, closed: float, opening: float) -> float:
    """Closure of the lids, 0..1, at `elapsed` after the start of a blink; one unit for all."""
    if elapsed <= closing:
        phase = max(elapsed, 0.0) / closing
    else:
        phase = 1.0 - min(max(elapsed - closing - closed, 0.0) / opening, 1.0)
    return float(0.5 - 0.5 * np.cos(np.pi * phase))


class Blinks:
    """Blinks of one stream. Raises ConfigError for a face without eyelids.

    Times inside are in frames and not integers: a blink is sampled at the frames within it.

    seed: of the stream. frame_rate: frames/s.
    """

    def __init__(self, per_minute: float, seed: int, basis: FaceBasis, frame_rate: int) -> None:
        self._lids, self._wide = lid_columns(basis)
        self._seed = seed
        self._rate = frame_rate
        self._mean_s = 60.0 / per_minute * (1.0 + _PAIR_SHARE)
        self._start = float("-inf")
        self._spans = (1.0, 0.0, 1.0)
        self._second = False  # true if the next blink is the second of a pair
        self._voiced = False
        rng = counter_rng(seed, RandomStream.BLINK, -1)
        self._planned = float(rng.random()) * self._interval(rng)
        self._due = self._planned

    def _interval(self, rng: np.random.Generator) -> float:
        """Frames between two planned blinks: log-normal after a refractory time."""
        median = np.log(self._mean_s - _REFRACTORY_S) - 0.5 * _SPREAD**2
        return float(_REFRACTORY_S + rng.lognormal(median, _SPREAD)) * self._rate

    def next(self, frame: int, *, voiced: bool) -> float:
        """Closure of the lids in `frame`, 0..1. Frames must be passed in order, from 0."""
        if self._voiced and not voiced:
            self._advance_planned(frame)
        self._voiced = voiced
        if frame >= self._due:
            self._blink(frame)
        return closure(frame - self._start, *self._spans)

    def _advance_planned(self, frame: int) -> None:
        """Advance a planned blink to the end of a phrase, with some probability.

        The blink after it stays where it was planned, so that speech changes the times of blinks
        but not their rate.
        """
        rng = counter_rng(self._seed, RandomStream.PHRASE_END, frame)
        near = self._due - frame < _PHRASE_REACH_S * self._rate
        if near and rng.random() < _PHRASE_SHARE:
            at = frame + float(rng.uniform(0.0, _PHRASE_DELAY_S)) * self._rate
            self._due = min(self._due, max(at, self._start + _MIN_DISTANCE_S * self._rate))

    def _blink(self, frame: int) -> None:
        """Start the blink that is due and plan the next one."""
        rng = counter_rng(self._seed, RandomStream.BLINK, frame)
        self._start = self._due
        closing, closed, opening = (float(span) * self._rate for span in rng.uniform(*_SPANS_S))
        self._spans = (closing, closed, opening)
        self._second = not self._second and bool(rng.random() < _PAIR_SHARE)
        if self._second:
            self._due = self._start + float(rng.uniform(*_PAIR_DISTANCE_S)) * self._rate
        else:
            self._planned += self._interval(rng)
            self._due = max(self._planned, self._start + _MIN_DISTANCE_S * self._rate)

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Close the lids at least as far as the blinks do, and reduce wide eyes accordingly.

        The flag IDLE marks silence. The blinks are not fed back: seeds contain only the face's
        codes and the jaw, and seams between hops are smoothed in the network's own face.
        """
        flags = enumerate(chunk.flags, chunk.first)
        closed = [self.next(f, voiced=not flag & FrameFlag.IDLE) for f, flag in flags]
        share = np.array(closed, np.float32)[:, None]
        face = chunk.face.copy()
        face[:, self._lids] = np.maximum(face[:, self._lids], share)
        face[:, self._wide] *= 1.0 - share
        return replace(chunk, face=face)
