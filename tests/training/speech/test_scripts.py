"""Speeches: pauses, equal loudness, and voices and readers of the split."""

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from training.speech import scripts as talk
from training.speech.scripts import background, joined, pause, recorded, synthetic
from training.speech.speech import Phone, Speech, SpokenWord
from training.speech.synthesis import Voice
from training.speech.utterances import RecordedUtterance


def piece(seconds: float = 2.0, level: float = 0.2, hiss: float = 0.0) -> Speech:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = level * np.sin(2 * np.pi * 150 * time) * (time > 0.3)
    noise = hiss * np.random.default_rng(0).standard_normal(len(time))
    word = SpokenWord("word", 0.3, seconds, 0.4, 0.6)
    return Speech((tone + noise).astype(np.float32), (Phone("aa", 0.0, seconds),), (word,))


def test_pieces_are_joined_with_pauses_in_time() -> None:
    made = joined([piece(), piece(level=0.02)], np.random.default_rng(0))
    assert len(made.words) == 2
    assert made.words[1].start - made.words[0].end >= 0.2
    assert made.phones[0] == Phone("pau", 0.0, made.phones[1].start)
    for a, b in zip(made.phones[:-1], made.phones[1:], strict=True):
        assert a.end == pytest.approx(b.start, abs=1e-3)
    levels = [
        np.sqrt(
            np.mean(
                made.samples[int((w.start + 0.1) * SAMPLE_RATE) : int(w.end * SAMPLE_RATE)] ** 2
            )
        )
        for w in made.words
    ]
    assert levels[0] / levels[1] == pytest.approx(1.0, abs=0.4)
    silent = made.samples[: int(made.phones[0].end * SAMPLE_RATE) - 10]
    assert not silent.any()


def test_pauses_sound_as_the_recording_does() -> None:
    noisy = piece(hiss=0.003)
    assert background(noisy.samples) == pytest.approx(0.003, rel=0.2)
    made = joined([noisy], np.random.default_rng(0))
    gap = made.samples[: int(made.phones[0].end * SAMPLE_RATE)]
    assert 0.0005 < gap.std() < 0.02


def test_pauses_are_mostly_short_and_sometimes_long() -> None:
    rng = np.random.default_rng(0)
    found = np.array([pause(rng) for _ in range(800)])
    assert 0.6 < (found < 1).mean() < 0.9
    assert 0.05 < (found > 3).mean() < 0.2


def test_test_speech_has_test_voices_and_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []

    def fake(text: str, voice: Voice) -> Speech:
        said.append((text, voice.name))
        return piece(0.05 * len(text))

    monkeypatch.setattr(talk, "synthesize", fake)
    rng = np.random.default_rng(0)
    sentences = [f"the number {i} stands here" for i in range(200)]
    for split, voices in (("train", talk.TRAIN_VOICES), ("test", talk.TEST_VOICES)):
        said.clear()
        name, speech = synthetic(sentences, split, rng)
        assert name in voices
        assert {voice for _, voice in said} == {name}
        assert 15 < speech.duration < 80
        assert {talk_test(text) for text, _ in said} == {split == "test"}


def talk_test(text: str) -> bool:
    from training.speech.sentences import held_out

    return held_out(text)


def test_the_test_set_has_voices_that_training_lacks() -> None:
    assert set(talk.TEST_VOICES) - set(talk.TRAIN_VOICES)


def test_readers_are_of_the_split() -> None:
    items = [
        RecordedUtterance("ann", "train", piece(9.0)),
        RecordedUtterance("bob", "test", piece(9.0)),
    ]
    rng = np.random.default_rng(0)
    assert {recorded(items, "train", rng)[0] for _ in range(5)} == {"ann"}
    name, speech = recorded(items, "test", rng)
    assert name == "bob"
    assert speech.duration > 7
