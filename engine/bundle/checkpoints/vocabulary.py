"""Reads the vocabulary of `emage-text` (2024) from JSON, or from its pickle without executing it.

A pickle is a program. `unpickle_vocabulary` replaces the classes that a vocabulary consists of by
inert placeholders and rejects all others.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from engine.bundle.checkpoints.safe_read import read_json
from engine.bundle.io import refuse_pointer
from engine.errors import BundleError

FIRST_WORD: Final = 4
PICKLE: Final = ".pkl"
SPECIAL: Final = ("<PAD>", "<SOS>", "<EOS>", "<UNK>")
BY_INDEX: Final = "index2word"
_BY_WORD: Final = "word2index"

# Classes of the pickled word vectors, which are not rebuilt: the checkpoint has them too.
_VECTORS: Final = {
    *(("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}
_OBJECT: Final = {("builtins", "object"), ("__builtin__", "object")}
_REBUILD: Final = {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}


class Inert:
    """Placeholder that accepts any arguments and stores an object's attributes."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self.attributes: Mapping[str, object] = {}

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, Mapping) else {}


def _reconstructed(*arguments: object) -> Inert:
    return Inert()


class _Unpickler(pickle.Unpickler):
    """Accepts the class `Vocab` of any module, and arrays of numbers."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a placeholder for a class of a vocabulary; raises BundleError for others."""
        if name == "Vocab" or (module, name) in _VECTORS | _OBJECT:
            return Inert
        if (module, name) in _REBUILD:
            return _reconstructed
        raise BundleError(
            f"the pickle asks for {module}.{name}, which is no part of a vocabulary; it was not "
            "loaded, and nothing in it was run"
        )


def unpickle_vocabulary(path: Path) -> dict[int, str]:
    """Read the words of a pickled `Vocab` by their indices; raises BundleError."""
    refuse_pointer(path)
    try:
        with path.open("rb") as file:
            found = _Unpickler(file).load()
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise BundleError(f"{path} cannot be read as a pickle ({error}); copy it again") from error
    attributes = found.attributes if isinstance(found, Inert) else found
    known = isinstance(attributes, Mapping) and {BY_INDEX, _BY_WORD} & set(attributes)
    if not known:
        raise BundleError(f"{path}: expected a vocabulary with {BY_INDEX} or {_BY_WORD}")
    return _by_index(attributes, path)


def read_vocabulary(path: Path) -> dict[int, str]:
    """Read words by their indices from JSON, or from a file `*.pkl`; raises BundleError.

    The JSON is one of `{"index2word": {"4": "the"}}`, `{"4": "the"}` and `{"the": 4}`.
    """
    if path.suffix == PICKLE:
        return unpickle_vocabulary(path)
    return _by_index(read_json(path), path)


def _by_index(mapping: Mapping[Any, Any], path: Path) -> dict[int, str]:
    for name in (BY_INDEX, _BY_WORD):
        if isinstance(mapping.get(name), Mapping):
            mapping = mapping[name]
            break
    if all(isinstance(word, str) for word in mapping.values()):
        pairs = [(str(index), word) for index, word in mapping.items()]
    else:
        pairs = [(str(index), str(word)) for word, index in mapping.items()]
    if not pairs or not all(index.isdecimal() for index, _ in pairs):
        raise BundleError(
            f'{path}: expected words and their numbers, as in {{"{BY_INDEX}": {{"4": "the"}}}}'
        )
    words = {int(index): word for index, word in pairs}
    if len(words) != len(pairs) or len(set(words.values())) != len(pairs):
        raise BundleError(f"{path}: a word has two numbers, or a number two words")
    return words


def table_words(words: Mapping[int, str], rows: int, path: Path) -> tuple[str, ...]:
    """Words of the rows from 4 of a table of `rows` rows; raises BundleError.

    An index without a word gets the placeholder `<index>`.
    """
    for index, special in enumerate(SPECIAL):
        if words.get(index, special) != special:
            raise BundleError(f"{path}: number {index} is for {special}, got {words[index]!r}")
    count = max(words) + 1
    if count != rows:
        raise BundleError(
            f"{path} numbers {count} words, but the word table has {rows} rows: the vocabulary is "
            "of another checkpoint"
        )
    return tuple(words.get(index, f"<{index}>") for index in range(FIRST_WORD, rows))
