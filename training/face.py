"""Face tracks: ARKit coefficients and jaw rotation from phones, stresses and a little chance.

Mouth shapes flow into one another within some 70 ms and come `DELAY_S` after the sound, because a
live model has heard nothing of what comes next. Lids, brows and gaze live on their own.
"""

import numpy as np

from engine.face import ARKIT_51
from engine.pose import FloatArray
from training.moves import drift
from training.phones import CLOSED, SHAPES, VOWELS
from training.plan import Stress
from training.speech import Phone

JAW_RADIANS = 0.25
"""Rotation of the jaw joint about x where jawOpen is 1."""
DELAY_S = 0.04
_RATE = 240  # inner rate, Hz
_SHAPE_S = 0.026  # standard deviation of the flow between shapes
_CLOSURE_S = 0.016
_INDEX = {name: i for i, name in enumerate(ARKIT_51.coefficients)}


def _gaussian(x: np.ndarray, deviation_s: float) -> np.ndarray:
    """Smooth `[n, C]` at the inner rate; zeros stay exact 3 deviations away from anything else."""
    reach = int(3 * deviation_s * _RATE)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (deviation_s * _RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(x, ((reach, reach), (0, 0)))
    return sum(k * padded[i : i + len(x)] for i, k in enumerate(kernel))


def _vector(shape: dict[str, float]) -> np.ndarray:
    vector = np.zeros(ARKIT_51.width)
    for name, value in shape.items():
        vector[_INDEX[name]] = value
    return vector


_START = {name: _vector(pair[0]) for name, pair in SHAPES.items()}
_END = {name: _vector(pair[1]) for name, pair in SHAPES.items()}


def _mouth(phones: tuple[Phone, ...], stressed: list[float], count: int) -> np.ndarray:
    """Shapes `[count, 51]` at the inner rate."""
    shapes = np.zeros((count, ARKIT_51.width))
    closure = np.zeros((count, 1))
    for phone in phones:
        first, last = round(phone.start * _RATE), min(count, round(phone.end * _RATE))
        if phone.name == "pau" or last <= first:
            continue
        along = ((np.arange(first, last) - first) / (last - first))[:, None]
        shape = (1 - along) * _START[phone.name] + along * _END[phone.name]
        if phone.name in VOWELS:
            near = any(phone.start - 0.02 <= t < phone.end for t in stressed)
            shape = shape * (1.15 if near else 0.85)
        shapes[first:last] = shape
        # Lips need time to meet: a very short stop still closes them.
        if phone.name in CLOSED:
            closure[first : max(last, first + _RATE // 20)] = 1.0
    shapes = _gaussian(shapes, _SHAPE_S)
    closed = np.clip(1.5 * _gaussian(closure, _CLOSURE_S), 0.0, 1.0)
    open_names = ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthFunnel")
    for name in (*open_names, "mouthUpperUpLeft", "mouthUpperUpRight"):
        shapes[:, _INDEX[name]] *= 1.0 - closed[:, 0]
    return shapes


def _pulse(times: np.ndarray, centre: float, rise: float, fall: float) -> np.ndarray:
    """0 -> 1 -> 0 in raised cosines of `rise` and `fall` seconds around `centre`."""
    before = np.clip((times - centre) / rise, -1.0, 0.0)
    after = np.clip((times - centre) / fall, 0.0, 1.0)
    return 0.5 + 0.5 * np.cos(np.pi * (before + after))


def _lids(face: FloatArray, times: np.ndarray, rng: np.random.Generator) -> None:
    at = rng.uniform(0.5, 3.0)
    while at < times[-1]:
        blink = _pulse(times, at, 0.09, 0.14)
        for side in ("Left", "Right"):
            face[:, _INDEX[f"eyeBlink{side}"]] = np.maximum(
                face[:, _INDEX[f"eyeBlink{side}"]], blink
            )
        at += rng.uniform(2.0, 6.0) if rng.random() < 0.9 else 0.35


def _gaze(face: FloatArray, times: np.ndarray, rng: np.random.Generator) -> None:
    sideways, up = np.zeros(len(times)), np.zeros(len(times))
    at = 0.0
    while at < times[-1]:
        reached = np.clip((times - at) / 0.06, 0.0, 1.0)
        calm = rng.random() < 0.5  # back to the listener
        goal = np.zeros(2) if calm else rng.normal(0, (0.16, 0.08))
        sideways += reached * (goal[0] - sideways)
        up += reached * (goal[1] - up)
        at += rng.uniform(0.7, 2.6)
    pairs = {
        "eyeLookOutLeft": sideways,
        "eyeLookInRight": sideways,
        "eyeLookInLeft": -sideways,
        "eyeLookOutRight": -sideways,
    }
    for side in ("Left", "Right"):
        pairs |= {f"eyeLookUp{side}": up, f"eyeLookDown{side}": -up}
    for name, value in pairs.items():
        face[:, _INDEX[name]] = np.clip(value, 0.0, 1.0)


def _expression(
    face: FloatArray, times: np.ndarray, stresses: list[Stress], rng: np.random.Generator
) -> None:
    raised = np.zeros(len(times))
    for stress in stresses:
        if stress.strength > 0.35:
            pulse = _pulse(times, stress.time + 0.12, 0.16, 0.45)
            raised = np.maximum(raised, (0.2 + 0.35 * stress.strength) * pulse)
    mood = drift(len(times), 2, 90, rng)
    smile = np.clip(0.09 + 0.12 * mood[:, 0], 0.0, 0.25)
    values = {"browInnerUp": raised + np.clip(0.1 * mood[:, 1], 0, 1)}
    for side in ("Left", "Right"):
        values |= {f"browOuterUp{side}": 0.7 * raised, f"cheekSquint{side}": 0.5 * smile}
        values |= {f"mouthSmile{side}": smile, f"browDown{side}": np.clip(-0.15 * mood[:, 1], 0, 1)}
    for name, value in values.items():
        face[:, _INDEX[name]] += value


def face_track(
    phones: tuple[Phone, ...],
    stresses: list[Stress],
    times: np.ndarray,
    rng: np.random.Generator,
) -> FloatArray:
    """Coefficients `[T, 51]` in the order of ARKIT_51 at the instants `times` (s)."""
    count = int((times[-1] + 1.0) * _RATE)
    mouth = _mouth(phones, [s.time for s in stresses], count)
    where = np.clip(np.round((times - DELAY_S) * _RATE).astype(int), 0, count - 1)
    face = (mouth[where] * rng.uniform(0.85, 1.1)).astype(np.float32)
    _lids(face, times, rng)
    _gaze(face, times, rng)
    _expression(face, times, stresses, rng)
    return np.clip(face, 0.0, 1.0)


def jaw_angle(face: FloatArray) -> FloatArray:
    """Radians `[T]` about x that go with the coefficients `[T, 51]`."""
    return JAW_RADIANS * face[:, _INDEX["jawOpen"]]
