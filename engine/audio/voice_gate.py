"""VoiceGate: voice activity of each frame, from past audio only.

Wraps WebRTC's detector (10 ms at a time, package webrtcvad-wheels, imported only here) with a short
attack and a hangover. That detector adapts for minutes: on real takes it classified a third to a
half of the pauses as speech. So it is restarted every ten seconds and warmed up with the three
seconds before, which classified 15 to 30 percent of the same pauses as speech and missed no more
words. The restart also makes the gate's memory finite, so that it can be snapshotted although the
detector itself cannot.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.block import to_float
from engine.clock import FrameClock
from engine.errors import ConfigError

_STEP_S: Final = 0.01
_PERIOD: Final = 1000  # steps between two restarts of the detector
_WARM_UP: Final = 300  # warm-up steps of a new detector
_RATES: Final = (8000, 16000, 32000, 48000)  # what the detector accepts
_LOUDNESS_ONLY: Final = (
    "the voice gate uses loudness only and will take noise for speech; run: "
    "pip install webrtcvad-wheels"
)


class Detector(Protocol):
    """Speech or not, for 10 ms steps of 16-bit samples; adapts to them."""

    def __call__(self, step: bytes) -> bool:
        """Classify the next step."""
        ...


class WebRtcDetector:
    """WebRTC's detector. Raises the errors of its package if that is missing or broken."""

    def __init__(self, sample_rate: int, mode: int) -> None:
        import webrtcvad

        self._vad = webrtcvad.Vad(mode)
        self._rate = sample_rate

    def __call__(self, step: bytes) -> bool:
        """Classify the next step."""
        return bool(self._vad.is_speech(step, self._rate))


class EnergyDetector:
    """Fallback: level above a noise floor that falls at once and rises slowly."""

    _LEAST_DB: Final = -50.0
    _ABOVE_FLOOR_DB: Final = 12.0
    _RISE_DB: Final = 0.03  # per step, so 3 dB per second

    def __init__(self) -> None:
        self._floor_db = -65.0

    def __call__(self, step: bytes) -> bool:
        """Classify the next step."""
        samples = np.frombuffer(step, np.int16).astype(np.float64) / 32768
        level_db = 10 * math.log10(float(np.square(samples).mean()) + 1e-9)
        self._floor_db = min(self._floor_db + self._RISE_DB, level_db)
        return level_db > max(self._LEAST_DB, self._floor_db + self._ABOVE_FLOOR_DB)


@dataclass(frozen=True)
class GateState:
    """State of a VoiceGate between two calls."""

    rest: NDArray[np.int16]
    steps: int
    frame: int
    run: int
    hold: int
    recent: tuple[bytes, ...]
    opened: tuple[bool, ...]


class VoiceGate:
    """One decision per frame: open during speech and for `hangover_s` after it.

    mode: 0 (permissive) .. 3 (strict). attack_s: duration of speech before the gate opens. note:
    empty, or a degradation and its remedy. Raises ConfigError for a sample rate that the detector
    does not support, or a value out of range.
    """

    def __init__(
        self,
        clock: FrameClock,
        *,
        mode: int = 3,
        hangover_s: float = 0.25,
        attack_s: float = 0.02,
    ) -> None:
        if clock.sample_rate not in _RATES:
            raise ConfigError(
                f"the voice gate takes {', '.join(map(str, _RATES))} Hz, got {clock.sample_rate}; "
                "resample first"
            )
        if mode not in range(4) or hangover_s < 0 or attack_s < 0:
            raise ConfigError(
                f"expected mode 0..3 and times of at least 0 s, got mode {mode}, "
                f"hangover {hangover_s}, attack {attack_s}"
            )
        self.clock = clock
        self.note = ""
        self._mode = mode
        self._attack = max(1, round(attack_s / _STEP_S))
        self._hangover = round(hangover_s / _STEP_S)
        self._span = clock.sample_rate // 100
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a stream, the gate is closed."""
        self.restore(GateState(np.zeros(0, np.int16), 0, 0, 0, 0, (), ()))

    def snapshot(self) -> GateState:
        """The state, independent of later changes."""
        return GateState(
            self._rest.copy(),
            self._steps,
            self._frame,
            self._run,
            self._hold,
            tuple(self._received),
            tuple(self._opened),
        )

    def restore(self, state: GateState) -> None:
        """Go on from a snapshot of a gate with the same settings."""
        self._rest = state.rest.copy()
        self._steps, self._frame = state.steps, state.frame
        self._run, self._hold = state.run, state.hold
        self._opened = list(state.opened)
        self._begin_detector(list(state.recent))

    def feed(self, samples: ArrayLike) -> NDArray[np.bool_]:
        """Take samples `[S]`, return `[n]`: open or not, of each frame that is now complete."""
        clean = np.clip(np.rint(to_float(samples) * np.float32(32768)), -32768, 32767)
        frames: list[bool] = []
        for start in range(0, clean.size, self.clock.sample_rate):
            piece = clean[start : start + self.clock.sample_rate].astype(np.int16)
            frames.extend(self._feed_piece(piece))
        return np.array(frames, np.bool_)

    def _feed_piece(self, samples: NDArray[np.int16]) -> list[bool]:
        sound = np.concatenate([self._rest, samples])
        received = self._steps * self._span + sound.size
        whole = sound.size // self._span * self._span
        for start in range(0, whole, self._span):
            self._step(sound[start : start + self._span].tobytes())
        self._rest = sound[whole:].copy()
        frames: list[bool] = []
        while self.clock.first_sample(self._frame + 1) <= received:
            frames.append(self._next_frame())
        return frames

    def _step(self, step: bytes) -> None:
        if self._steps and self._steps % _PERIOD == 0:
            self._begin_detector(self._received[-_WARM_UP:])
        self._received.append(step)
        self._steps += 1
        self._run = self._run + 1 if self._detector(step) else 0
        if self._run >= self._attack:
            self._hold = self._hangover + 1
        self._opened.append(self._hold > 0)
        self._hold = max(0, self._hold - 1)

    def _next_frame(self) -> bool:
        """Open if any step that ended within the frame was, else as the last step was."""
        first, self._frame = self._frame, self._frame + 1
        begin = self.clock.first_sample(first) // self._span
        end = self.clock.first_sample(self._frame) // self._span
        oldest = self._steps - len(self._opened)
        steps = self._opened[max(0, min(begin, end - 1) - oldest) : end - oldest]
        kept = max(0, end - 1 - oldest)
        del self._opened[:kept]
        return any(steps)

    def _begin_detector(self, recent: list[bytes]) -> None:
        self._detector = self._new_detector()
        self._received = recent
        for step in recent:
            self._detector(step)

    def _new_detector(self) -> Detector:
        if self.note:
            return EnergyDetector()
        try:
            return WebRtcDetector(self.clock.sample_rate, self._mode)
        except ModuleNotFoundError as error:
            missing = "missing" if error.name == "webrtcvad" else f"broken ({error})"
            self.note = f"webrtcvad is {missing}: {_LOUDNESS_ONLY}"
        # An old release fails with an error of pkg_resources, a frozen program with other kinds.
        except Exception as error:
            self.note = f"webrtcvad is broken ({type(error).__name__}: {error}): {_LOUDNESS_ONLY}"
        return EnergyDetector()
