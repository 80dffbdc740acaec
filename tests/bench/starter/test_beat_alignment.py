"""Beat alignment of hands that are in time, and of hands that are not."""

import numpy as np
import pytest

from bench.starter import beat_alignment as module
from bench.starter.beat_alignment import beat_numbers, random_shifts, rhythm, stroke_numbers
from bench.starter.renderings import Scene
from bench.starter.speech_set import Part
from engine.audio import SAMPLE_RATE
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55
from tests.support.audio import sine
from training.speech.speech import Phone, Speech, SpokenWord

FPS = 30


def turning(angle: np.ndarray, stresses: list[float]) -> Scene:
    """A left arm turned by `angle` `[T]`, to words stressed at `stresses` (s)."""
    turn = np.zeros((len(angle), 3))
    turn[:, 2] = angle
    rotations = identity(len(angle), 55)
    rotations[:, SMPLX_55.index("left_shoulder")] = exp(turn.astype(np.float32))
    zeros = [np.zeros((len(angle), width), np.float32) for width in (3, 4, 51)]
    motion = Motion(PoseFormat(), PoseChunk(0, rotations, *zeros))
    words = tuple(SpokenWord("tree", t - 0.1, t + 0.9, t, t + 0.1, True) for t in stresses)
    samples = np.zeros(len(angle) * SAMPLE_RATE // FPS, np.float32)
    for at in stresses:  # louder than the rest
        first = int(at * SAMPLE_RATE)
        samples[first : first + SAMPLE_RATE // 10] = sine(150, 0.1, SAMPLE_RATE)
    phones = (Phone("pau", 0, len(samples) / SAMPLE_RATE),)
    return Scene(Part("x", Speech(samples, phones, words)), motion)


def scene(beats: list[float], stresses: list[float], seconds: float) -> Scene:
    """An arm that swings back and forth, fastest at `beats` (s)."""
    times = np.arange(round(seconds * FPS)) / FPS
    ways = [(-1) ** i * np.tanh(12 * (times - at)) for i, at in enumerate(beats)]
    return turning(0.4 * sum(ways, np.zeros(len(times))), stresses)


TIMES = [1.0, 2.7, 3.9, 6.1, 7.4, 9.8, 11.0, 13.1, 14.9, 16.2]


def test_strokes_on_the_words_are_found_and_beat_chance() -> None:
    found = stroke_numbers([scene(TIMES, TIMES, 18.0)], rounds=200)
    stresses = scene(TIMES, TIMES, 18.0).part.stresses
    assert len(stresses) > 5
    assert found["stresses near a stroke"] == 1.0
    assert found["strokes near a stress"] == pytest.approx(len(stresses) / len(TIMES))
    assert found["strokes near a stress, over chance"] > 2.0
    assert found["strokes near a stress, p"] < 0.02
    assert abs(found["stroke after stress, median s"]) < 0.04
    assert found["strokes a minute"] == pytest.approx(60 * len(TIMES) / 18.0)


def test_strokes_elsewhere_are_at_chance_level() -> None:
    late = [t + 0.45 for t in TIMES]
    found = stroke_numbers([scene(late, TIMES, 18.0)], rounds=200)
    assert found["strokes near a stress, over chance"] < 1.0
    assert found["strokes near a stress, p"] > 0.3


def test_random_shifts_are_not_close_to_zero() -> None:
    by = random_shifts(20.0, 500, np.random.default_rng(0))
    assert by.min() >= 2.0
    assert by.max() <= 18.0
    short = random_shifts(2.0, 50, np.random.default_rng(0))
    assert short.min() >= 0.5
    assert short.max() <= 1.5


def test_beat_constancy_of_onsets_at_the_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotating arm that is slowest every other second; two seconds are cut."""
    times = np.arange(60 * FPS) / FPS
    own = turning(0.5 * times + 0.3 / np.pi * np.sin(np.pi * times), [])
    slowest = np.arange(1.0, 54.0, 2.0)
    for late, low, high in ((0.0, 0.0, 0.1), (1.0, 0.8, 1.0)):
        monkeypatch.setattr(module, "onset_times", lambda *_, by=late: slowest + by)
        found = beat_numbers([own], None, rounds=300)
        assert low <= found["BC, p"] <= high
    monkeypatch.setattr(module, "onset_times", lambda *_: np.zeros(0))
    assert beat_numbers([own], None, rounds=5) == {}


def test_short_scenes_have_no_beat_constancy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "onset_times", lambda *_: np.array([0.1]))
    found = rhythm([scene([1.0], [1.0], 3.0)], rounds=10)
    assert "strokes near a stress" in found
    assert "BC" not in found, "three seconds are shorter than both cuts"
