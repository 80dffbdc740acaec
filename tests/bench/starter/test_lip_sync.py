"""Mouths that match the phones, and mouths that do not."""

from dataclasses import replace

import numpy as np
import pytest

from bench.starter import lip_sync as module
from bench.starter.lip_sync import jaw, mouth_numbers, opening
from bench.starter.renderings import Scene
from bench.starter.speech_set import Part
from engine.audio import SAMPLE_RATE
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55
from training.composer.face import DELAY_S
from training.speech.speech import Phone, Speech, SpokenWord

SECONDS, FPS = 6.0, 30
SPOKEN = (0.5, 2.5), (4.0, 5.0)


def part() -> Part:
    """`mapa ...` twice, with silence before, between and after."""
    phones, words = [], []
    at = 0.0
    for start, end in SPOKEN:
        phones.append(Phone("pau", at, start))
        for first in np.arange(start, end - 0.1, 0.5):
            phones += [
                Phone("m", first, first + 0.1),
                Phone("aa", first + 0.1, first + 0.2),
                Phone("eh", first + 0.2, first + 0.4),
                Phone("iy", first + 0.4, first + 0.5),
            ]
        words.append(SpokenWord("map", start, end, start + 0.1, start + 0.3))
        at = end
    phones.append(Phone("pau", at, SECONDS))
    samples = np.full(round(SECONDS * SAMPLE_RATE), 0.1, np.float32)
    return Part("x", Speech(samples, tuple(phones), tuple(words)))


def scene(opened: np.ndarray) -> Scene:
    turn = np.zeros((len(opened), 3), np.float32)
    turn[:, 0] = 0.25 * opened
    rotations = identity(len(opened), 55)
    rotations[:, SMPLX_55.index("jaw")] = exp(turn)
    face = np.zeros((len(opened), 51), np.float32)
    fmt = PoseFormat()
    face[:, fmt.face.coefficients.index("jawOpen")] = opened
    zeros = [np.zeros((len(opened), width), np.float32) for width in (3, 4)]
    return Scene(part(), Motion(fmt, PoseChunk(0, rotations, *zeros, face)))


def true_jaw(scene: Scene, delay_s: float = DELAY_S) -> np.ndarray:
    """Coefficient jawOpen `[T]` of the composer's lips, `delay_s` after the audio."""
    return module._late(scene, module._lips(scene), delay_s)


def blank() -> Scene:
    return scene(np.zeros(round(SECONDS * FPS)))


def test_the_reference_itself_is_perfect() -> None:
    found = mouth_numbers([scene(true_jaw(blank()))])
    assert found["jaw, r with the phones"] == pytest.approx(1.0, abs=1e-5)
    assert found["jaw, r without pauses"] == pytest.approx(1.0, abs=1e-5)
    assert found["closed on p b m"] == 1.0
    assert found["closed on other phones"] < 1.0
    assert found["silence to closed mouth, 90 % s"] < 0.2
    assert found["silences with the mouth closed in 0.2 s"] == 1.0


def test_the_delay_of_a_late_mouth_is_found() -> None:
    late = scene(true_jaw(blank(), 0.2))
    found = mouth_numbers([late])
    assert found["jaw, its own delay s"] == pytest.approx(0.2, abs=0.02)
    assert found["jaw, r at its own delay"] > 0.99 > found["jaw, r with the phones"]


def test_an_open_mouth_has_no_closures() -> None:
    found = mouth_numbers([scene(0.5 + 0.01 * true_jaw(blank()))])
    assert found["closed on p b m"] == 0.0
    assert found["silence to closed mouth, median s"] > 0.9  # the length of the silences


def test_other_face_bases_use_the_jaw() -> None:
    arkit = scene(np.full(round(SECONDS * FPS), 0.4))
    poses = replace(arkit.motion.poses, face=np.zeros((len(arkit.motion), 100), np.float32))
    flame = Scene(arkit.part, Motion(replace(arkit.motion.format, face=FLAME_100), poses))
    assert jaw(flame) == pytest.approx(0.1, abs=1e-6)
    assert opening(flame) == pytest.approx(0.1, abs=1e-6)
    assert opening(arkit) == pytest.approx(0.4, abs=1e-6)


def test_parts_without_phones_have_no_numbers() -> None:
    own = blank()
    assert mouth_numbers([Scene(replace(own.part, has_transcript=False), own.motion)]) == {}
