"""Words from files and messages: Praat TextGrid (long and short), TSV, JSON.

Every fault raises TranscriptError with the line. Words are returned in order of time.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.errors import TranscriptError
from engine.text.words import TimedWord

_SILENCE: Final = frozenset({"", "sp", "sil", "<sil>", "<eps>", "<p:>"})  # labels of aligners
_TOKEN: Final = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|\[[^\]\n]*\]"  # item [1]: the number is no value
    r"|(?P<flag><\w+>)"
    r"|(?P<number>(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w))"
)
_COLUMNS: Final = ("start", "end", "word")


def read_words(path: str | Path) -> list[TimedWord]:
    """The words of a TextGrid (tier "words", else its first interval tier) or a TSV file.

    TSV: lines of start, end (seconds) and word, separated by tabs or spaces, with or without a
    header line with column names. Raises TranscriptError.
    """
    path = Path(path)
    text = _decoded(path)
    is_grid = path.suffix.lower() == ".textgrid" or text.lstrip().startswith("File type")
    try:
        words = _parse_textgrid(text) if is_grid else list(_parse_tsv(text))
    except TranscriptError as error:
        raise TranscriptError(f"{path}: {error}") from error
    return sorted(words, key=lambda word: (word.start_s, word.end_s))


def read_phones(path: str | Path) -> list[TimedWord]:
    """The intervals of a TextGrid's tier "phones" in order; empty without such a tier.

    Raises TranscriptError.
    """
    try:
        tiers = _tiers(_decoded(Path(path)))
    except TranscriptError as error:
        raise TranscriptError(f"{path}: {error}") from error
    return next((tier.words for tier in tiers if tier.name.strip().lower() == "phones"), [])


def parse_json_line(line: str | bytes) -> list[TimedWord]:
    """The words of `{"words": [{"word": "hello", "start": 0.1, "end": 0.4}, ...]}`.

    Raises TranscriptError for anything else.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"expected one JSON object in a line, got {line[:60]!r}") from error
    return words_from_json(message)


def words_from_json(message: Any) -> list[TimedWord]:
    """The same from an object already decoded; other keys beside "words" are ignored."""
    entries = message.get("words") if isinstance(message, dict) else None
    if not isinstance(entries, list):
        raise TranscriptError(
            'expected {"words": [{"word": "hello", "start": 0.1, "end": 0.4}]}, '
            f"got {str(message)[:60]}"
        )
    words = [_word_from_json(entry) for entry in entries]
    return sorted(words, key=lambda word: (word.start_s, word.end_s))


def _word_from_json(entry: Any) -> TimedWord:
    if isinstance(entry, dict):
        text = entry.get("word")
        start_s, end_s = _seconds(entry.get("start")), _seconds(entry.get("end"))
        if isinstance(text, str) and start_s is not None and end_s is not None:
            return TimedWord(text.strip(), start_s, end_s)
    raise TranscriptError(
        f'expected a word like {{"word": "hello", "start": 0.1, "end": 0.4}}, got {str(entry)[:60]}'
    )


def _seconds(value: Any) -> float | None:
    """A JSON number as a float; None for anything else and for integers beyond a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TranscriptError(f"cannot read words from {path}: {error.strerror}") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise TranscriptError(
            f"{path} is not text in UTF-8 or UTF-16 (byte {error.start}); save it as UTF-8"
        ) from error


def _parse_tsv(text: str) -> Iterator[TimedWord]:
    order: tuple[str, ...] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = _cells(line)
        if order is None:
            header = _header(cells)
            order = header or _COLUMNS
            if header:
                continue
        yield _tsv_word(dict(zip(order, cells, strict=False)), line, number)


def _cells(line: str) -> list[str]:
    cells = line.split("\t") if "\t" in line else line.split(maxsplit=2)
    return [cell.strip() for cell in cells]


def _header(cells: list[str]) -> tuple[str, ...]:
    """The column names in a header line; empty for any other line."""
    names = tuple(cell.lower() for cell in cells)
    return names if set(_COLUMNS) <= set(names) else ()


def _tsv_word(row: dict[str, str], line: str, number: int) -> TimedWord:
    try:
        return TimedWord(row["word"], float(row["start"]), float(row["end"]))
    except (KeyError, ValueError) as error:
        raise TranscriptError(
            f"line {number}: expected start, end (seconds) and a word, such as '0.10 0.45 hello', "
            f"got {line[:60]!r}"
        ) from error
    except TranscriptError as error:
        raise TranscriptError(f"line {number}: {error}") from error


class _Token(NamedTuple):
    kind: str
    value: str
    line: int


class _Tier(NamedTuple):
    name: str
    words: list[TimedWord]


class _Reader:
    """The values of a TextGrid in order; both formats hold the same ones."""

    def __init__(self, text: str) -> None:
        self._tokens = self._scan(text)
        self.line = 1

    @staticmethod
    def _scan(text: str) -> Iterator[_Token]:
        line, at = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", at, match.start())
            at = match.start()
            if match.lastgroup is not None:
                yield _Token(match.lastgroup, match.group(match.lastgroup), line)

    def take(self, kind: str) -> str:
        """The next value, which must be a `text`, a `number` or a `flag`."""
        token = next(self._tokens, None)
        if token is None:
            raise TranscriptError(f"line {self.line}: the TextGrid ends where a {kind} should be")
        self.line = token.line
        if token.kind != kind:
            raise TranscriptError(
                f"line {token.line}: expected a {kind} in the TextGrid, got {token.value[:40]!r}"
            )
        return token.value

    def number(self) -> float:
        return float(self.take("number"))

    def count(self) -> int:
        value = self.number()
        if not value.is_integer():
            raise TranscriptError(f"line {self.line}: expected a whole number, got {value:g}")
        return int(value)

    def text(self) -> str:
        return self.take("text").replace('""', '"')


def _tiers(text: str) -> list[_Tier]:
    """The interval tiers of a TextGrid."""
    reader = _Reader(text)
    kinds = reader.text(), reader.text()
    if kinds != ("ooTextFile", "TextGrid"):
        raise TranscriptError(f"expected a Praat TextGrid as text, got {' '.join(kinds)}")
    reader.number(), reader.number()
    reader.take("flag")
    return [tier for _ in range(reader.count()) if (tier := _read_tier(reader))]


def _parse_textgrid(text: str) -> list[TimedWord]:
    tiers = _tiers(text)
    for tier in tiers:
        if tier.name.strip().lower() == "words":
            return tier.words
    if not tiers:
        raise TranscriptError("the TextGrid has no interval tier; expected one named 'words'")
    return tiers[0].words


def _read_tier(reader: _Reader) -> _Tier | None:
    """The next tier; None for one of points, which has no words."""
    kind, name = reader.text(), reader.text()
    reader.number(), reader.number()
    words: list[TimedWord] = []
    for _ in range(reader.count()):
        start_s = reader.number()
        end_s = reader.number() if kind == "IntervalTier" else start_s
        label = reader.text().strip()
        if kind == "IntervalTier" and label.lower() not in _SILENCE:
            try:
                words.append(TimedWord(label, start_s, end_s))
            except TranscriptError as error:
                raise TranscriptError(f"line {reader.line}: {error}") from error
    return _Tier(name, words) if kind == "IntervalTier" else None
