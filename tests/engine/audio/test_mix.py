"""Downmix keeps the level of speech for any channel layout and split; notes faulty channels."""

import numpy as np
import pytest

from engine.audio.mix import Downmix
from engine.events import BAD_SAMPLE, EventCounter
from tests.support.audio import babble, sine

RATE = 48000
SPEECH = babble(6.0, RATE)
SILENCE = np.zeros_like(SPEECH)
HUM = sine(50, 6.0, RATE, 0.05)


def noise(level: float, seed: int = 9) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(len(SPEECH))
    return np.asarray(level * values, np.float32)


def mixed(*channels: np.ndarray, split: int = 10**9) -> tuple[np.ndarray, tuple[str, ...]]:
    events = EventCounter()
    mix = Downmix(RATE, len(channels), events)
    sound = np.stack(channels, 1).astype(np.float32)
    pieces = [mix.feed(sound[at : at + split]) for at in range(0, len(sound), split)]
    return np.concatenate([*pieces, mix.flush()]), events.notes


@pytest.mark.parametrize(
    ("channels", "level", "noted"),
    [
        ((SPEECH,), 1, ""),
        ((SPEECH, SPEECH), 1, ""),
        ((SPEECH, SILENCE), 1, "channel 2 of 2 is silent"),
        ((SILENCE, SPEECH), 1, "channel 1 of 2 is silent"),
        (
            (SILENCE, SILENCE, SPEECH, SILENCE, SILENCE, SILENCE),
            1,
            "channel 1, 2, 4, 5, 6 of 6 is silent",
        ),
        ((SPEECH, -SPEECH), 1, "cancel"),
        ((SPEECH, -SPEECH / 2), 0.75, "cancel"),
        ((SPEECH + 0.2, -SPEECH + 0.2), 1, "cancel"),  # common offset
        ((SPEECH + HUM, -SPEECH + HUM), 1, "cancel"),
        ((SPEECH + noise(0.005, 1), -SPEECH + noise(0.005, 2)), 1, "cancel"),
        ((SPEECH, SPEECH, -SPEECH, -SPEECH), 1, "cancel"),
        ((SILENCE, SILENCE), 0, ""),
    ],
)
def test_speech_keeps_its_level(channels: tuple[np.ndarray, ...], level: float, noted: str) -> None:
    found, notes = mixed(*channels)
    assert len(found) == len(SPEECH)
    assert np.std(found) == pytest.approx(level * np.std(SPEECH), rel=0.03)
    assert [note for note in notes if noted in note] == list(notes)
    assert bool(notes) == bool(noted)


def test_independent_voices_are_averaged() -> None:
    voices = [babble(6.0, RATE, seed) + noise(0.02, 20 + seed) for seed in range(6)]
    found, notes = mixed(*voices)
    np.testing.assert_allclose(found, np.mean(voices, axis=0), atol=1e-6)
    assert notes == ()


def test_alternating_channels_both_keep_speech() -> None:
    """An interview: one channel per speaker, silent while the other speaks."""
    half = len(SPEECH) // 2
    left, right = SPEECH.copy(), babble(6.0, RATE, 3)
    left[half:], right[:half] = 0, 0
    found, _ = mixed(left, right)
    assert np.std(found[:half]) == pytest.approx(np.std(left[:half]), rel=0.05)
    assert np.std(found[half:]) == pytest.approx(np.std(right[half:]) / 2, rel=0.05)


def test_a_channel_that_inverts_midway_is_noted() -> None:
    half = len(SPEECH) // 2
    other = SPEECH.copy()
    other[half:] *= -1
    found, notes = mixed(SPEECH, other)
    late = half + RATE
    assert np.std(found[late:]) == pytest.approx(np.std(SPEECH[late:]), rel=0.01)
    assert np.abs(np.diff(found)).max() < 1.5 * np.abs(np.diff(SPEECH)).max()  # no click
    assert len(notes) == 1


@pytest.mark.parametrize("split", [1, 480, 777, 100_000])
def test_any_split_gives_the_same(split: int) -> None:
    short = slice(0, RATE // 2)
    channels = (SPEECH[short], -0.8 * SPEECH[short], SILENCE[short])
    whole, notes = mixed(*channels)
    found, found_notes = mixed(*channels, split=split)
    np.testing.assert_array_equal(found, whole)
    assert found_notes == notes


def test_no_samples_are_held_back_at_whole_steps() -> None:
    mix = Downmix(44100, 2, EventCounter())
    for _ in range(5):
        assert len(mix.feed(np.zeros((441, 2), np.float32))) == 441


@pytest.mark.parametrize("rate", [1000, 4000, 384_000])
def test_any_rate(rate: int) -> None:
    mix = Downmix(rate, 2, EventCounter())
    sound = babble(1.0, rate)
    found = np.concatenate([mix.feed(np.stack([sound, -sound], 1)), mix.flush()])
    assert np.std(found) == pytest.approx(np.std(sound), rel=0.05)


def test_bad_samples_do_not_spread() -> None:
    events = EventCounter()
    mix = Downmix(RATE, 2, events)
    sound = np.stack([SPEECH, SPEECH], 1)
    sound[100, 0], sound[200, 1] = np.nan, np.inf
    found = mix.feed(sound)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[300:], SPEECH[300:], atol=1e-6)
    assert events.snapshot()[BAD_SAMPLE] == 2
