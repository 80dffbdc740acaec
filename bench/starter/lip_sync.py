"""Lip sync: jaw opening against phones, bilabial closure, and mouth closure after speech.

The reference is the composer's lips for phones from forced alignment (`training.composer.visemes`)
with the least delay of a live model (`training.composer.face.DELAY_S`).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.metrics.kinematics import Floats
from bench.starter import Numbers
from bench.starter.renderings import Scene, with_transcript
from engine.motion.face_basis import ARKIT_51
from engine.motion.rotation import log
from engine.motion.skeleton import SMPLX_55
from training.composer.face import DELAY_S, force_of
from training.composer.plan import level_of
from training.composer.visemes import RATE, mouth
from training.speech.phones import CLOSED

CLOSED_SHARE = 0.15
"""Maximum opening of a closed mouth, as a share of the 95th percentile in speech."""
SILENCE_S = 0.4
"""Minimum length of a silence after which the mouth has to be closed."""
_JAW = SMPLX_55.index("jaw")
_INDEX = {name: i for i, name in enumerate(ARKIT_51.coefficients)}
_LIPS = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
_EARLY_S, _LATE_S = 0.02, 0.08  # tolerance around a p, b or m, in addition to DELAY_S
_LAGS_S = tuple(step / 60 for step in range(-6, 19))


def jaw(scene: Scene) -> Floats:
    """Rotation of the jaw about x `[T]`, radians; positive is open."""
    turns = log(scene.motion.poses.rotations[:, _JAW].astype(np.float64))
    return np.asarray(turns[:, 0], np.float64)


def opening(scene: Scene) -> Floats:
    """Mouth opening `[T]`, without unit: jaw and lips of ARKit faces, otherwise the jaw."""
    if scene.motion.format.face.name != ARKIT_51.name:
        return np.maximum(jaw(scene), 0.0)
    face = scene.motion.poses.face.astype(np.float64)
    lips = face[:, [_INDEX[name] for name in _LIPS]].mean(1)
    return np.maximum(face[:, _INDEX["jawOpen"]] - face[:, _INDEX["mouthClose"]], 0.0) + 0.5 * lips


def _lips(scene: Scene) -> Floats:
    """Coefficient jawOpen of the composer's lips, at RATE."""
    speech = scene.part.speech
    levels = [level_of(speech, phone.start, phone.end) for phone in speech.phones]
    force = force_of(speech.phones, levels, [stress.time for stress in scene.part.stresses])
    lips = mouth(speech.phones, force, int((speech.duration + 1) * RATE))
    return np.asarray(lips[:, _INDEX["jawOpen"]], np.float64)


def _late(scene: Scene, curve: Floats, delay_s: float) -> Floats:
    at = np.round((np.arange(len(scene.motion)) / scene.fps - delay_s) * RATE)
    return curve[np.clip(at, 0, len(curve) - 1).astype(int)]


def mouth_numbers(scenes: Sequence[Scene]) -> Numbers:
    """All numbers over scenes with known phones; empty without any."""
    known = with_transcript(scenes)
    if not known:
        return {}
    return {**_jaw_numbers(known), **_closure(known), **_silences(known)}


def _jaw_numbers(scenes: Sequence[Scene]) -> Numbers:
    made = np.concatenate([jaw(scene) for scene in scenes])
    talking = np.concatenate([~scene.sample.frames_of(scene.sample.pauses) for scene in scenes])
    curves = [_lips(scene) for scene in scenes]

    def wanted(delay_s: float) -> Floats:
        pairs = zip(scenes, curves, strict=True)
        return np.concatenate([_late(scene, curve, delay_s) for scene, curve in pairs])

    lagged = {lag: _r(made, wanted(lag)) for lag in _LAGS_S}
    true = wanted(DELAY_S)
    best = max(lagged, key=lambda lag: lagged[lag])
    return {
        "jaw, r with the phones": _r(made, true),
        "jaw, r without pauses": _r(made[talking], true[talking]),
        "jaw, r at its own delay": lagged[best],
        "jaw, its own delay s": best,
    }


def _r(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-9 else 0.0


def _threshold(scene: Scene) -> float:
    talking = ~scene.sample.frames_of(scene.sample.pauses)
    own = opening(scene)
    return CLOSED_SHARE * float(np.percentile(own[talking] if talking.any() else own, 95))


def _closure(scenes: Sequence[Scene]) -> Numbers:
    """Share of p, b and m with a frame of closed mouth; and that of other phones."""
    met, usual = [], []
    for scene in scenes:
        shut = opening(scene) < _threshold(scene)
        times = np.array([p.start for p in scene.part.speech.phones if p.name in CLOSED])
        ends = np.array([p.end for p in scene.part.speech.phones if p.name in CLOSED])
        met += _any(shut, times, ends, scene.fps)
        pauses = scene.sample.frames_of(scene.sample.pauses)
        for phone in scene.part.speech.phones:
            middle = 0.5 * (phone.start + phone.end)
            spoken = phone.name not in (*CLOSED, "pau")
            if spoken and not pauses[min(int(middle * scene.fps), len(pauses) - 1)]:
                usual += _any(shut, np.array([phone.start]), np.array([phone.end]), scene.fps)
    return {
        "closed on p b m": float(np.mean(met)) if met else float("nan"),
        "closed on other phones": float(np.mean(usual)) if usual else float("nan"),
    }


def _any(shut: np.ndarray, starts: Floats, ends: Floats, fps: int) -> list[bool]:
    """True for phones with a frame of closed mouth."""
    first = np.floor((starts - _EARLY_S + DELAY_S) * fps).astype(int)
    last = np.ceil((ends + _LATE_S) * fps).astype(int)
    return [bool(shut[max(a, 0) : b + 1].any()) for a, b in zip(first, last, strict=True)]


def _silences(scenes: Sequence[Scene]) -> Numbers:
    """Seconds from the beginning of a silence until the mouth is closed."""
    waits = np.array([wait for scene in scenes for wait in _waits(scene)])
    if not len(waits):
        return {}
    return {
        "silence to closed mouth, median s": float(np.median(waits)),
        "silence to closed mouth, 90 % s": float(np.percentile(waits, 90)),
        "silences with the mouth closed in 0.2 s": float((waits <= 0.2 + 1e-9).mean()),
    }


def _waits(scene: Scene) -> Iterator[float]:
    shut = opening(scene) < _threshold(scene)
    for phone in scene.part.speech.phones:
        if phone.name != "pau" or phone.end - phone.start < SILENCE_S or phone.start < SILENCE_S:
            continue
        first, last = int(np.ceil(phone.start * scene.fps)), int(phone.end * scene.fps)
        frames = np.flatnonzero(shut[first:last])
        wait = (first + frames[0]) / scene.fps - phone.start if len(frames) else None
        yield phone.end - phone.start if wait is None else max(wait, 0.0)
