"""The published vocabulary loads from JSON and from its pickle, without executing code."""

import collections
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from engine.bundle.checkpoints.vocabulary import read_vocabulary, table_words, unpickle_vocabulary
from engine.errors import BundleError
from engine.text.words import UNK, Vocabulary

WORDS = {0: "<PAD>", 1: "<SOS>", 2: "<EOS>", 3: "<UNK>", 4: "the", 5: "Hello", 6: "hello"}


class Vocab:
    """Class name and attributes that the reference implementation pickles."""

    def __init__(self) -> None:
        self.name = "words"
        self.trimmed = False
        self.index2word = WORDS
        self.word2index = {word: i for i, word in WORDS.items() if i > 3}
        self.word2count = dict.fromkeys(self.word2index, 1)
        self.n_words = len(WORDS)
        self.word_embedding_weights: np.ndarray | None = np.ones((7, 3), np.float32)


class RunsCommand:
    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> object:
        return os.system, (f"touch {self._trace}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_vocabulary_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps(Vocab(), protocol))
    assert unpickle_vocabulary(path) == WORDS


def test_a_pickled_dict_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps({"word2index": {"the": 4}}))
    assert unpickle_vocabulary(path) == {4: "the"}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_with_code_is_an_error(tmp_path: Path, wrapped: bool) -> None:
    path, trace = tmp_path / "vocab.pkl", tmp_path / "trace"
    vocab = Vocab()
    vocab.name = RunsCommand(trace)  # type: ignore[assignment]
    path.write_bytes(pickle.dumps(vocab if wrapped else RunsCommand(trace)))
    with pytest.raises(BundleError, match=r"asks for posix\.system|asks for nt\.system"):
        unpickle_vocabulary(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"\x80\x04\x8c\x01m\x8c\x0eVocab.__init__\x93.",  # by a dotted name
        pickle.dumps(collections.Counter("a")),
    ],
)
def test_other_classes_are_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="asks for"):
        unpickle_vocabulary(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"hello", pickle.dumps([1]), pickle.dumps({"a": 1})]
)
def test_a_pickle_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"vocab\.pkl"):
        unpickle_vocabulary(path)


@pytest.mark.parametrize(
    "mapping",
    [
        {"index2word": WORDS, "config": {"hidden_size": 48}},
        WORDS,
        {word: index for index, word in WORDS.items()},
        {"word2index": {word: index for index, word in WORDS.items()}},
    ],
)
def test_json_maps_words_or_indices(tmp_path: Path, mapping: dict[object, object]) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(mapping))
    assert read_vocabulary(path) == WORDS


@pytest.mark.parametrize(
    "mapping", [{}, {"the": "four"}, {"the": -4}, {"a": 4, "b": 4}, {"4": "a", "5": "a"}, {"a": {}}]
)
def test_json_without_indices_of_words_is_an_error(tmp_path: Path, mapping: object) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(mapping))
    with pytest.raises(BundleError, match=r"vocab\.json"):
        read_vocabulary(path)


def test_words_have_the_indices_of_the_table() -> None:
    words = {**WORDS, 8: "world"}  # no word has index 7
    vocabulary = Vocabulary(table_words(words, 9, Path("vocab.json")))
    spoken = ["the", "Hello", "hello", "world", "World,", "HELLO", "other"]
    assert [vocabulary.id_of(word) for word in spoken] == [4, 5, 6, 8, 8, 6, UNK]
    assert len(vocabulary) == 9


@pytest.mark.parametrize(
    ("words", "rows", "message"),
    [
        (WORDS, 8, "7 words, but the word table has 8"),
        (WORDS, 6, "7 words, but the word table has 6"),
        ({0: "the", 1: "a"}, 2, "number 0 is for <PAD>, got 'the'"),
    ],
)
def test_a_vocabulary_of_another_checkpoint_is_an_error(
    words: dict[int, str], rows: int, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        table_words(words, rows, Path("vocab.json"))
