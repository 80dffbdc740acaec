"""Face tracks: ARKit coefficients and jaw rotation from phones, stresses, gaze and noise.

The mouth (`training.composer.visemes`) follows the sound by `DELAY_S`, because a live model has no
look-ahead. Lids, brows and mood are partly random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import FloatArray
from training.composer.gaze import Gaze
from training.composer.minimum_jerk import FPS, drift
from training.composer.plan import Stress
from training.composer.style import Style
from training.composer.visemes import RATE, mouth
from training.speech.phones import VOWELS
from training.speech.speech import Phone

JAW_RADIANS = 0.25
"""Rotation of the jaw joint about x at jawOpen 1, radians."""
DELAY_S = 0.04
_SPONTANEOUS = 0.65  # share of blinks without a cause in speech or gaze
_EYE_RADIANS = 0.6
"""Rotation of an eye at look coefficient 1, radians."""
_INDEX = {name: i for i, name in enumerate(ARKIT_51.coefficients)}
_SIDES = ("Left", "Right")


@dataclass(frozen=True)
class FaceCues:
    """Inputs of a face track.

    Attributes:
        phones: phones with their times.
        force: articulation of each phone, 1 = usual.
        stresses: stressed words.
        gaze: directions of the eyes.
        accents: time (seconds) and brow movement (above 0 raised, below 0 drawn) of words.
        phrase_ends: ends of phrases, seconds.

    """

    phones: Sequence[Phone]
    force: Sequence[float]
    stresses: Sequence[Stress]
    gaze: Gaze
    accents: Sequence[tuple[float, float]] = ()
    phrase_ends: Sequence[float] = ()


def _pulse(times: np.ndarray, centre: float, rise: float, fall: float) -> np.ndarray:
    """Pulse 0 -> 1 -> 0 of raised cosines of `rise` and `fall` seconds around `centre`."""
    before = np.clip((times - centre) / rise, -1.0, 0.0)
    after = np.clip((times - centre) / fall, 0.0, 1.0)
    return 0.5 + 0.5 * np.cos(np.pi * (before + after))


def _blink(times: np.ndarray, at: float, rng: np.random.Generator) -> np.ndarray:
    """One blink from `at`: lids close in 3 to 4 frames, stay closed for 2, open more slowly."""
    close, shut, open_ = rng.uniform(0.1, 0.14), rng.uniform(0.05, 0.085), rng.uniform(0.16, 0.26)
    down = _pulse(times, at + close, close, 10.0)
    up = _pulse(times, at + close + shut, 10.0, open_)
    return np.where(times < at + close, down, np.where(times < at + close + shut, 1.0, up))


def _blink_times(
    seconds: float, cues: FaceCues, style: Style, rng: np.random.Generator
) -> list[float]:
    """Draw blinks: spontaneous (some in pairs), at phrase ends and with large gaze shifts."""
    found = [
        end + float(rng.uniform(0.05, 0.35)) for end in cues.phrase_ends if rng.random() < 0.25
    ]
    jumps = np.linalg.norm(np.diff(cues.gaze.eyes[::3], axis=0), axis=-1) * _EYE_RADIANS
    found += [3.0 * f / FPS for f in np.flatnonzero(jumps > 0.12) if rng.random() < 0.12]
    at = float(rng.uniform(0.3, 3.0))
    while at < seconds:
        found.append(at)
        if rng.random() < 0.08:
            found.append(at + float(rng.uniform(0.4, 0.55)))
        at += 0.8 + float(rng.exponential(max(60.0 / (_SPONTANEOUS * style.blinks) - 0.8, 0.5)))
    kept: list[float] = []
    for time in sorted(found):
        if not kept or time - kept[-1] > 0.38:
            kept.append(time)
    return kept


def _lids(face: FloatArray, times: np.ndarray, cues: FaceCues, blinks: Sequence[float],
          rng: np.random.Generator) -> None:  # fmt: skip
    closed = np.zeros(len(times))
    for at in blinks:
        closed = np.maximum(closed, _blink(times, at, rng))
    # Lids follow a downward gaze.
    lowered = np.clip(0.5 * cues.gaze.eyes[:, 1] / _EYE_RADIANS, 0.0, 0.25)
    for side in _SIDES:
        face[:, _INDEX[f"eyeBlink{side}"]] = np.maximum(closed, lowered)
        face[:, _INDEX[f"eyeWide{side}"]] *= 1 - closed
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        face[:, _INDEX[name]] *= 1 - 0.15 * closed


def _eyes(face: FloatArray, gaze: Gaze) -> None:
    yaw, down = (gaze.eyes / _EYE_RADIANS).T
    pairs = {
        "eyeLookOutLeft": yaw,
        "eyeLookInRight": yaw,
        "eyeLookInLeft": -yaw,
        "eyeLookOutRight": -yaw,
    }
    for side in _SIDES:
        pairs |= {f"eyeLookDown{side}": down, f"eyeLookUp{side}": -down}
    for name, value in pairs.items():
        face[:, _INDEX[name]] = np.clip(value, 0.0, 1.0)


def _brows(
    times: np.ndarray, cues: FaceCues, style: Style, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Amounts `[T]` by which brows are raised and drawn together."""
    slow = drift(len(times), 2, 2.5 * FPS, rng)
    raised = 0.13 * style.brows * (1 + slow[:, 0])
    drawn = np.clip(0.12 * slow[:, 1], 0, 1)
    for stress in cues.stresses:
        if rng.random() < 0.35 + 0.5 * stress.strength:
            size = style.brows * (0.12 + 0.35 * stress.strength) * rng.uniform(0.7, 1.2)
            pulse = _pulse(times, stress.time + 0.13, 0.17, rng.uniform(0.35, 0.7))
            raised = np.maximum(raised, raised * (1 - pulse) + (raised + size) * pulse)
    for at, brows in cues.accents:
        pulse = _pulse(times, at + 0.25, 0.22, rng.uniform(0.5, 1.0))
        raised = raised + max(0.35 * brows, 0.0) * pulse
        drawn = drawn + max(-0.5 * brows, 0.0) * pulse
    return np.clip(raised, 0, 0.95), np.clip(drawn, 0, 0.8)


def _expression(
    face: FloatArray,
    times: np.ndarray,
    cues: FaceCues,
    style: Style,
    rng: np.random.Generator,
) -> None:
    raised, drawn = _brows(times, cues, style, rng)
    mood = drift(len(times), 1, 3.0 * FPS, rng)[:, 0] + 0.5 * drift(len(times), 1, FPS, rng)[:, 0]
    smile = np.clip(style.smile * (1 + 0.7 * mood) - 0.4 * drawn, 0.0, 0.85)
    uneven = 1 + 0.06 * rng.standard_normal(2)
    values = {"browInnerUp": 1.1 * raised}
    for side, more in zip(_SIDES, uneven, strict=True):
        values |= {
            f"browOuterUp{side}": 0.85 * raised * more,
            f"browDown{side}": drawn,
            f"eyeWide{side}": 0.55 * raised,
            f"eyeSquint{side}": 0.05 + 0.3 * smile + 0.3 * drawn,
            f"cheekSquint{side}": 0.4 * smile,
            f"mouthSmile{side}": smile * more,
            f"mouthDimple{side}": 0.25 * smile,
            f"mouthFrown{side}": 0.25 * drawn,
            f"noseSneer{side}": 0.12 * smile + 0.2 * drawn,
        }
    for name, value in values.items():
        face[:, _INDEX[name]] += value
    # A smile spreads the lips and so reduces their rounding.
    for name in ("mouthPucker", "mouthFunnel"):
        face[:, _INDEX[name]] *= 1 - 0.35 * smile


def face_track(
    cues: FaceCues, times: np.ndarray, style: Style, rng: np.random.Generator
) -> FloatArray:
    """Compose coefficients `[T, 51]` in the order of ARKIT_51 at `times` (seconds)."""
    count = int((times[-1] + 1.0) * RATE)
    lips = mouth(cues.phones, cues.force, count)
    where = np.clip(np.round((times - DELAY_S) * RATE).astype(int), 0, count - 1)
    face = (lips[where] * rng.uniform(0.9, 1.1)).astype(np.float32)
    _eyes(face, cues.gaze)
    _expression(face, times, cues, style, rng)
    _lids(face, times, cues, _blink_times(float(times[-1]), cues, style, rng), rng)
    return np.clip(face, 0.0, 1.0)


def force_of(
    phones: Sequence[Phone], levels: Sequence[float], stressed: Sequence[float]
) -> list[float]:
    """Articulation factor of each phone: loud and stressed vowels open wider.

    levels: level of each phone, dB; stressed: onsets of stressed vowels, seconds.
    """
    loud = [level for p, level in zip(phones, levels, strict=True) if p.name in VOWELS]
    usual = float(np.median(loud)) if loud else 0.0
    result = []
    for phone, level in zip(phones, levels, strict=True):
        near = any(phone.start - 0.02 <= t < phone.end for t in stressed)
        louder = np.clip((level - usual) / 12.0, -0.25, 0.25)
        result.append(float((1.12 if near else 0.88) * (1.0 + louder)))
    return result


def jaw_angle(face: FloatArray) -> FloatArray:
    """Jaw rotations `[T]` about x, radians, for coefficients `[T, 51]`."""
    return JAW_RADIANS * face[:, _INDEX["jawOpen"]]
