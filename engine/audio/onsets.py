"""OnsetPicker: streaming detection of sound onsets.

Onset strength is the mean rise of a log spectrum from one hop to the next; an onset is a hop whose
strength exceeds the mean of the last tenth of a second and is not below its neighbours. An onset is
known one hop later. Any split of the samples gives the same onsets.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

HOP: Final = 512
_WINDOW: Final = 1024
_BANDS: Final = 40
_PAST: Final = 4  # hops whose mean the strength is compared with
_DELTA: Final = 0.07  # by how much it must exceed their mean; a clear onset has about 1
_WAIT: Final = 2  # hops between two onsets
_FLOOR: Final = 1e-4  # magnitude of silence


@dataclass(frozen=True)
class _State:
    sound: NDArray[np.float32]
    hop: int  # index of the next hop to look at
    bands: NDArray[np.float64]
    strengths: tuple[float, ...]  # the newest strengths, newest last
    last_onset: int


class OnsetPicker:
    """Feed samples at 16 kHz, get sample indices of onsets."""

    def __init__(self) -> None:
        self._hann = np.hanning(_WINDOW + 1)[:-1]
        edges = np.unique(np.geomspace(2, _WINDOW // 2, _BANDS + 1).round().astype(int))
        self._edges = edges
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        quiet = np.full(len(self._edges) - 1, np.log(_FLOOR))
        silence = np.zeros(_WINDOW - HOP, np.float32)
        self._state = _State(silence, 0, quiet, (0.0,) * (_PAST + 2), -_WAIT - 1)

    def snapshot(self) -> _State:
        """The state, independent of later changes."""
        return self._state

    def restore(self, state: _State) -> None:
        """Go on from a snapshot."""
        self._state = state

    def feed(self, samples: NDArray[np.float32]) -> list[int]:
        """Take samples `[S]`, return the onsets found, as sample indices from the beginning."""
        sound = np.concatenate([self._state.sound, samples])
        found = []
        while len(sound) >= _WINDOW:
            onset = self._look(sound[:_WINDOW])
            if onset is not None:
                found.append(onset * HOP)
            sound = sound[HOP:]
        self._state = replace(self._state, sound=sound)
        return found

    def _look(self, sound: NDArray[np.float32]) -> int | None:
        """Process one hop; returns the hop before it if that is an onset."""
        state = self._state
        spectrum = np.abs(np.fft.rfft(sound * self._hann)) / _WINDOW
        sums = np.add.reduceat(spectrum, self._edges[:-1])
        bands = np.log(np.maximum(sums, _FLOOR))
        strength = float(np.maximum(bands - state.bands, 0.0).mean())
        strengths = (*state.strengths[1:], strength)
        hop = state.hop - 1  # the candidate: both neighbours are known now
        *past, candidate, after = strengths
        clear = candidate >= max(past[-1], after) and candidate > np.mean(past) + _DELTA
        is_onset = hop >= 0 and clear and hop - state.last_onset > _WAIT
        last = hop if is_onset else state.last_onset
        self._state = _State(state.sound, state.hop + 1, bands, strengths, last)
        return hop if is_onset else None
