"""Response times in scenes with known ones."""

import numpy as np
import pytest

from bench.starter.idle_response import idle_numbers, longest_freeze
from bench.starter.renderings import Scene
from bench.starter.speech_set import Part
from engine.audio import SAMPLE_RATE
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55
from training.speech.speech import Phone, Speech, SpokenWord

FPS, SECONDS = 30, 16.0
SPOKEN = ((2.0, 5.0), (10.0, 12.0))


def scene(moves: list[tuple[float, float]], breath: float = 0.02) -> Scene:
    """An arm that swings in spans of time, and a chest that breathes (rad)."""
    times = np.arange(round(SECONDS * FPS)) / FPS
    going = sum(((times >= a) & (times < b) for a, b in moves), np.zeros(len(times), bool))
    rotations = identity(len(times), 55)
    for name, size, rate in (("left_shoulder", 0.4 * going, 9.0), ("spine1", breath, 2.0)):
        turn = np.zeros((len(times), 3), np.float32)
        turn[:, 2] = size * np.sin(rate * times)
        rotations[:, SMPLX_55.index(name)] = exp(turn)
    zeros = [np.zeros((len(times), width), np.float32) for width in (3, 4, 51)]
    words = tuple(
        SpokenWord("tree", at, at + 0.5, at, at + 0.5)
        for start, end in SPOKEN
        for at in np.arange(start, end, 0.5)
    )
    samples = np.zeros(round(SECONDS * SAMPLE_RATE), np.float32)
    speech = Speech(samples, (Phone("pau", 0.0, SECONDS),), words)
    return Scene(Part("x", speech), Motion(PoseFormat(), PoseChunk(0, rotations, *zeros)))


def test_hands_that_follow_speech() -> None:
    found = idle_numbers([scene([(2.3, 6.0), (10.3, 13.0)])])
    assert found["first syllable to motion, median s"] == pytest.approx(0.3, abs=0.15)
    assert found["last syllable to rest, median s"] == pytest.approx(1.0, abs=0.15)
    assert found["silence over speech"] < 0.1
    assert found["longest freeze s"] < 1.0


def test_hands_that_never_rest() -> None:
    found = idle_numbers([scene([(0.0, SECONDS)])])
    assert "first syllable to motion, median s" not in found, "hands moved before"
    assert found["last syllable to rest, median s"] == pytest.approx(4.5, abs=0.6)
    assert found["silence over speech"] == pytest.approx(1.0, abs=0.3)


def test_a_figure_without_breath_is_frozen() -> None:
    assert longest_freeze(scene([], breath=0.0)) == pytest.approx(SECONDS, abs=0.1)
    assert longest_freeze(scene([], breath=0.1)) < 0.5
