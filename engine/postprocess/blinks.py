"""Blinks: how far the lids are closed, frame after frame, laid over the face of a network.

When one blinks is chance, so a network that learns a face by its mean hardly learns to blink. A
bundle may ask for blinks instead: they come at irregular times, now and then in pairs, and rather
soon after a voice has fallen silent. What is drawn depends on the seed and the frame in which it is
drawn alone, and what has happened only on the voice so far: no split of the audio and no restart
changes a blink. Knows nothing of what else the face does, and nothing of where it looks.
"""

from dataclasses import dataclass, replace

import numpy as np

from engine.config.serialize import require
from engine.errors import ConfigError
from engine.motion.face_basis import FaceBasis
from engine.motion.pose import FrameFlag, PoseChunk
from engine.postprocess.counter_rng import Purpose, chance

LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
WIDE = ("eyeWideLeft", "eyeWideRight")
MOST_PER_MINUTE = 40.0

_SPANS_S = ((0.10, 0.05, 0.16), (0.13, 0.07, 0.25))
"""Least and most of a blink: lids close, stay shut, open more slowly. Shut for a frame at least."""
_APART_S = 0.5  # from a blink's beginning to the next one's: longer than a blink can be
_PAIRED = 0.08  # share of blinks that a second one follows at once
_PAIR_S = (_APART_S, 0.7)
_DEAD_S = 0.7  # no two blinks that are planned come closer
_SPREAD = 0.75  # of the logarithm of an interval: irregular, with a long tail
_CALLED = 0.7  # share of phrases at whose end a blink comes that was planned for soon after
_CALLED_FROM_S = 3.0  # how far ahead it may have been planned
_CALLED_AFTER_S = 0.25


@dataclass(frozen=True)
class BlinkConfig:
    """per_minute: blinks in a minute in the long run, whether or not there is speech."""

    per_minute: float = 17.0

    def __post_init__(self) -> None:
        fits = 0.0 < self.per_minute <= MOST_PER_MINUTE
        require(fits, "per_minute", f"above 0 and at most {MOST_PER_MINUTE:g}", self.per_minute)


def lids_of(basis: FaceBasis) -> tuple[list[int], list[int]]:
    """Where a face has LIDS and WIDE; ConfigError for one that lacks any of them."""
    missing = [name for name in LIDS + WIDE if name not in basis.coefficients]
    if missing:
        raise ConfigError(
            f"blinks need a face with {', '.join(LIDS + WIDE)}, such as arkit51 or arkit52; "
            f"{basis.name} has no {missing[0]}: leave `blinks` out"
        )
    lids, wide = ([basis.coefficients.index(name) for name in names] for names in (LIDS, WIDE))
    return lids, wide


def closure(since: float, close: float, shut: float, open_: float) -> float:
    """How far lids are closed, 0..1, so long after a blink began; in the unit of its spans."""
    if since <= close:
        way = max(since, 0.0) / close
    else:
        way = 1.0 - min(max(since - close - shut, 0.0) / open_, 1.0)
    return float(0.5 - 0.5 * np.cos(np.pi * way))


class Blinks:
    """The blinks of one stream. Raises ConfigError for a face without lids.

    seed: of the stream. Times inside are in frames, and lie between them: a blink is sampled where
    its frames fall.
    """

    def __init__(self, per_minute: float, seed: int, basis: FaceBasis, frame_rate: int) -> None:
        self._lids, self._wide = lids_of(basis)
        self._seed = seed
        self._rate = frame_rate
        self._mean_s = 60.0 / per_minute * (1.0 + _PAIRED)
        self._begin = float("-inf")
        self._spans = (1.0, 0.0, 1.0)
        self._second = False  # the next blink is the second of a pair
        self._voiced = False
        rng = chance(seed, Purpose.BLINK, -1)
        self._planned = float(rng.random()) * self._interval(rng)
        self._due = self._planned

    def _interval(self, rng: np.random.Generator) -> float:
        """Frames between two planned blinks: log-normal after a dead time."""
        middle = np.log(self._mean_s - _DEAD_S) - 0.5 * _SPREAD**2
        return float(_DEAD_S + rng.lognormal(middle, _SPREAD)) * self._rate

    def next(self, frame: int, *, voiced: bool) -> float:
        """How far the lids are closed in `frame`, 0..1; one frame after the other, from 0 on."""
        if self._voiced and not voiced:
            self._call(frame)
        self._voiced = voiced
        if frame >= self._due:
            self._blink(frame)
        return closure(frame - self._begin, *self._spans)

    def _call(self, frame: int) -> None:
        """A phrase has ended: a blink that was to come soon comes now.

        The one after it stays where it was planned, so that speech chooses moments, not how many.
        """
        rng = chance(self._seed, Purpose.PHRASE_END, frame)
        near = self._due - frame < _CALLED_FROM_S * self._rate
        if near and rng.random() < _CALLED:
            at = frame + float(rng.uniform(0.0, _CALLED_AFTER_S)) * self._rate
            self._due = min(self._due, max(at, self._begin + _APART_S * self._rate))

    def _blink(self, frame: int) -> None:
        """Begin the blink that is due, and plan the next."""
        rng = chance(self._seed, Purpose.BLINK, frame)
        self._begin = self._due
        close, shut, open_ = (float(span) * self._rate for span in rng.uniform(*_SPANS_S))
        self._spans = (close, shut, open_)
        self._second = not self._second and bool(rng.random() < _PAIRED)
        if self._second:
            self._due = self._begin + float(rng.uniform(*_PAIR_S)) * self._rate
        else:
            self._planned += self._interval(rng)
            self._due = max(self._planned, self._begin + _APART_S * self._rate)

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with lids as far down as the network's or these, whichever is further.

        Its flags say where a voice is heard. Wide eyes give way. Only what goes out blinks: what
        the network is shown of its past holds no face but its codes and the jaw, and the seams
        between hops are closed in the network's own face.
        """
        flags = enumerate(chunk.flags, chunk.first)
        closed = [self.next(f, voiced=not flag & FrameFlag.IDLE) for f, flag in flags]
        share = np.array(closed, np.float32)[:, None]
        face = chunk.face.copy()
        face[:, self._lids] = np.maximum(face[:, self._lids], share)
        face[:, self._wide] *= 1.0 - share
        return replace(chunk, face=face)
