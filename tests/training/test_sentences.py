import re

import numpy as np
import pytest

from training.sentences import chat, draw_text, held_out, read_sentences


@pytest.fixture(scope="module")
def talk():
    rng = np.random.default_rng(1)
    return [chat(rng) for _ in range(2000)]


def test_small_talk_is_plain_text(talk):
    assert len(set(talk)) > 1000
    for text in talk:
        assert re.fullmatch(r"[A-Z][A-Za-z,' -]*(, [a-z ]+)?[.!?]", text), text


def test_nobody_is_third_person(talk):
    nobodies = {m[1] for t in talk if (m := re.search(r"\bnobody (\w+)", t)) and "would" not in t}
    assert {"needs", "believes", "talks"} <= nobodies
    assert all(verb.endswith("s") for verb in nobodies)


def test_one_in_twelve_is_held_out_always_the_same(talk):
    texts = sorted(set(talk))
    share = np.mean([held_out(text) for text in texts])
    assert share == pytest.approx(1 / 12, abs=0.03)
    # A hash of the process's own would mix training and test from run to run.
    assert held_out("It rains in London.")
    assert not held_out("It rains in Paris.")


def test_training_and_test_never_share_a_sentence():
    pool = [f"The number is {word} today." for word in "abcdefghijklmnopqrstuvwxyz"]
    rng = np.random.default_rng(2)
    drawn = {test: {draw_text(pool, test, rng) for _ in range(150)} for test in (False, True)}
    assert all(held_out(text) == test for test, texts in drawn.items() for text in texts)
    for texts in drawn.values():
        assert 0 < len(texts & set(pool)) < len(texts)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("The sea was very calm today.", "The sea was very calm today."),
        ('"Come here," said the old man.', "Come here, said the old man."),
        ("He came -- and went -- at once.", "He came , and went , at once."),
        ("Too short here.", None),
        (" ".join(["word"] * 23), None),
        ("It happened in the year 1812 again.", None),
        ("Then Mr. Brown came in again.", None),
        ("It was J. Smith who came.", None),
        ("The BBC said so again today.", None),
    ],
)
def test_only_lines_that_a_synthesiser_reads_well_are_kept(tmp_path, line, kept):
    (tmp_path / "a.txt").write_text(line + "\n", encoding="utf-8")
    assert read_sentences(tmp_path / "a.txt") == ([] if kept is None else [kept])
