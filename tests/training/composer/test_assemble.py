"""Composed bodies: arms and legs, little motion in silence, determined by the seed."""

import numpy as np
import pytest

from bench.metrics.strokes import wrist_speed
from engine.audio import SAMPLE_RATE
from engine.motion.rotation import angle, forward_kinematics
from engine.motion.skeleton import SMPLX_55
from tests.support.figures import small_library
from training.composer.assemble import (
    Performance,
    energy_of,
    head_signs,
    listener_signs,
    perform,
    silences,
    spans,
)
from training.composer.minimum_jerk import FPS
from training.composer.plan import plan_gestures, prominent_words
from training.composer.style import LISTENER, LIVELY, Style
from training.speech.speech import Phone, Speech, SpokenWord

LIBRARY = small_library()


def speech() -> Speech:
    """Ten words in four seconds, then silence."""
    texts = ["we", "never", "wanted", "a", "garden", "but", "you", "built", "a", "house"]
    words = tuple(
        SpokenWord(t, 1 + 0.4 * i, 1.35 + 0.4 * i, 1 + 0.4 * i, 1.25 + 0.4 * i)
        for i, t in enumerate(texts)
    )
    tone = np.sin(2 * np.pi * 120 * np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE)
    loud = np.zeros(10 * SAMPLE_RATE)
    for word in words:
        loud[int(word.start * SAMPLE_RATE) : int(word.vowel_end * SAMPLE_RATE)] = 0.05 + 0.05 * len(
            word.text
        )
    return Speech((tone * loud).astype(np.float32), (Phone("pau", 0.0, 10.0),), words)


def performed(style: Style = LIVELY, seed: int = 0) -> Performance:
    said, rng = speech(), np.random.default_rng(seed)
    stresses = prominent_words(said, style.stress_s)
    return perform(said, stresses, plan_gestures(said, stresses, rng), LIBRARY, style, rng)


def speed(done: Performance) -> np.ndarray:
    body = done.body
    points = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, body.rotations, body.translation
    )[0]
    return wrist_speed(points, FPS)


@pytest.fixture(scope="module")
def lively() -> Performance:
    return performed()


def test_a_body_is_whole(lively: Performance) -> None:
    body = lively.body
    assert body.rotations.shape == (300, 55, 4)
    assert body.translation.shape == (300, 3)
    assert body.contacts.shape == (300, 4)
    assert lively.gaze.eyes.shape == (300, 2)
    assert np.abs(np.linalg.norm(body.rotations, axis=-1) - 1).max() < 1e-4
    assert angle(body.rotations[1:], body.rotations[:-1]).max() < 0.6


def test_hands_move_with_the_words_and_rest_without(lively: Performance) -> None:
    rates = speed(lively)
    assert len(lively.landings) >= 2
    assert rates[30:150].mean() > 4 * rates[250:].mean()
    assert rates[:30].mean() < 0.12


def test_a_listener_nods_and_does_not_gesture() -> None:
    done = performed(LISTENER)
    assert done.landings == ()
    assert speed(done).max() < 0.4


def test_the_seed_decides(lively: Performance) -> None:
    again, other = performed(), performed(seed=1)
    assert np.array_equal(again.body.rotations, lively.body.rotations)
    assert not np.array_equal(other.body.rotations, lively.body.rotations)


def test_energy_follows_speech_and_never_leads() -> None:
    energy = energy_of([(2.0, 4.0)], 10 * FPS)
    assert energy[: 2 * FPS].max() == 0.0
    assert energy[4 * FPS] > 0.9
    assert energy[-1] < 0.1
    assert silences([(2.0, 4.0)], 10.0) == [(0.0, 2.0), (4.0, 10.0)]
    assert spans(speech()) == [(1.0, pytest.approx(4.95))]


def test_signs_come_from_words_and_answers_from_phrases() -> None:
    rng = np.random.default_rng(0)
    kinds = {sign.kind for _ in range(20) for sign in head_signs(speech(), rng)}
    assert "shake" in kinds
    nods = [sign for _ in range(20) for sign in listener_signs([(0.0, 12.0)], rng)]
    assert {"nod", "tilt"} == {sign.kind for sign in nods}
