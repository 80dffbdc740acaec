"""Sentences: clean, and the held-out ones never in training."""

from pathlib import Path

import numpy as np

from training.speech.sentences import chat, draw_text, held_out, read_sentences


def test_only_plain_sentences_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(
        "This is a plain sentence.\nToo short.\nIn 1963 he was here again.\n"
        "Mr. Smith was not at home.\nThe FBI was here once more.\n"
        '"Quoted words are all right," he said.\n' + "word " * 30 + "\n"
    )
    assert read_sentences(path) == [
        "This is a plain sentence.",
        "Quoted words are all right, he said.",
    ]


def test_training_and_test_never_share_a_text() -> None:
    rng = np.random.default_rng(0)
    sentences = [f"This is sentence {word} of many." for word in "abcdefghijklmnopqrstuvwxyz"]
    train = {draw_text(sentences, False, rng) for _ in range(300)}
    test = {draw_text(sentences, True, rng) for _ in range(100)}
    assert not train & test
    assert all(held_out(text) for text in test)
    assert len(train) > 30


def test_small_talk_is_varied_and_well_formed() -> None:
    rng = np.random.default_rng(1)
    said = [chat(rng) for _ in range(200)]
    assert len(set(said)) > 100
    assert all(text[0].isupper() and text[-1] in ".!?" and "  " not in text for text in said)
