"""Banned words in sources and documentation: metaphors, archaisms, personification.

The rules are in CONTRIBUTING.md, the terms to use in docs/glossary.md.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# All folders with texts; the root is tested too.
FOLDERS = ("engine", "exporters", "training", "bench", "docs", "tests")
# CHANGELOG quotes former keys; the two pages are generated from sources that are tested.
SKIPPED = {"CHANGELOG.md", "docs/configuration.md", "docs/modules.md", "tests/test_prose.py"}

WORDS = {"anew", "upon", "ear", "ears", "hear", "hears", "heard", "hearing", "worn"}
PHRASES = ("come by", "laid over", "let in", "for want of", "knows nothing", "nothing of")
# Words allowed in some folders: a figure's head has ears, people hear.
ALLOWED = {
    "ear": ("exporters/viewer/", "tests/exporters/viewer/"),
    "ears": ("exporters/viewer/", "tests/exporters/viewer/"),
    "ears_mesh": ("exporters/viewer/", "tests/exporters/viewer/"),
    **dict.fromkeys(("hear", "hears", "heard", "hearing"), ("docs/",)),
    "upon": ("training/speech/phones.py",),  # a function word
}
_PLAIN = "|".join([*sorted(WORDS), *(phrase.replace(" ", r"\s+") for phrase in PHRASES)])
# "What is ..." as the subject of a sentence; "says what is missing" is fine.
_SUBJECT = r"""What\s+is|(?<=[.;:("#]\s)what\s+is|(?<=["(])what\s+is"""
BANNED = re.compile(rf"\b(?i:{_PLAIN})\b|(?:{_SUBJECT})\b")
_FORMER_KEY = re.compile(r'"\w+": "[\w.]+"')  # in renamed_keys


def files(folder: str) -> list[Path]:
    """Sources and pages of a folder; of the root itself those beside the folders."""
    paths = (ROOT / folder).glob("*" if folder == "." else "**/*")
    selected = (p for p in paths if p.suffix in (".py", ".md", ".toml") and p.is_file())
    return sorted(p for p in selected if p.relative_to(ROOT).as_posix() not in SKIPPED)


def allowed(word: str, path: str) -> bool:
    return path.startswith(ALLOWED.get(word.lower(), ("\0",)))


def in_text(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of each banned word or phrase; a phrase may run over two lines."""
    for found in BANNED.finditer(_FORMER_KEY.sub(_blank, text)):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[0].split())


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def in_names(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier with a banned word in it, and of parameters named told."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and WORDS & set(token.string.lower().split("_")):
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.arg) and node.arg == "told":
            yield node.lineno, "told"


def found_in(path: Path) -> list[str]:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    found = [*in_text(text), *(in_names(text) if path.suffix == ".py" else ())]
    return [
        f"{name}:{line}: {word}" for line, word in sorted(set(found)) if not allowed(word, name)
    ]


@pytest.mark.parametrize("folder", [*FOLDERS, "."])
def test_no_banned_word(folder: str) -> None:
    problems = [problem for path in files(folder) for problem in found_in(path)]
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a year ago, Once upon\n", [(1, "upon")]),
        ("plain\nit was laid\nover it\n", [(2, "laid over")]),
        ('{"heard": "feature_range"}\n', []),
        ("hearing_noise, early, search\n", []),
        ("It says what is missing.\n", []),
        ("Two.\nWhat is kept stays; what is new goes.\n", [(2, "What is"), (2, "what is")]),
    ],
)
def test_banned_words_are_found_in_text(text: str, expected: list[tuple[int, str]]) -> None:
    assert list(in_text(text)) == expected


def test_banned_words_are_found_in_names() -> None:
    source = "def test_it_hears(told, early): return told.ear_weight\n"
    assert [name for _, name in in_names(source)] == ["test_it_hears", "ear_weight", "told"]
