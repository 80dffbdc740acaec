import codecs
from itertools import pairwise
from pathlib import Path

import pytest

from engine.errors import TranscriptError
from engine.text.files import parse_json_line, read_phones, read_words

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "TextTier"
        name = "marks 7"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1
            mark = "x"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "AH0"
    item [3]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.25e0
            text = "say ""café"" 2 [1]"
        intervals [3]:
            xmin = 1.25
            xmax = 2.5
            text = "sil"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
2
"TextTier"
"marks"
0
2.5
1
1
"x"
"IntervalTier"
"whatever"
0
2.5
2
0
0.5
""
0.5
1.25
"say ""café"" 2 [1]"
"""


def as_tuples(path: Path) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_s, word.end_s) for word in read_words(path)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
def test_textgrids_are_read_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    data = (
        codecs.BOM_UTF16_LE + text.encode("utf-16-le")
        if encoding.endswith("bom")
        else text.replace("\n", "\r\n").encode(encoding)
    )
    path = tmp_path / "speech.TextGrid"
    path.write_bytes(data)
    assert as_tuples(path) == [('say "café" 2 [1]', 0.5, 1.25)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG.replace("xmax = 1.25e0", "xmax = 0.25"), "line 41.*ends at 0.25"),
        (LONG[: LONG.index("xmin = 1.25")], "line 41.*ends where a number"),
        (SHORT.replace("<exists>", "7"), "line 6.*expected a flag"),
        (SHORT.replace('"TextGrid"', '"Sound"'), "expected a Praat TextGrid"),
        (SHORT.replace("\n2\n", "\n2.5\n", 1), "line 7.*whole number"),
        (SHORT.replace("IntervalTier", "TextTier").replace("\n0.5\n1.25", "\n0.5"), "line 21"),
        ("File type", "ends where a text"),
    ],
)
def test_an_invalid_textgrid_is_reported_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "broken.TextGrid"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TranscriptError, match=message):
        read_words(path)


@pytest.mark.parametrize(
    "text",
    [
        "0.1\t0.4\thello\n0.5\t0.9\tNew York\n",
        "0.1 0.4 hello\n0.5   0.9  New York\n",
        "start\tend\tword\n0.1\t0.4\thello\n\n0.5\t0.9\tNew York",
        "Word\tStart\tEnd\n# out of order\nNew York\t0.5\t0.9\nhello\t0.1\t0.4\n",
        "\ufeff0.5 0.9 New York\r\n0.1 0.4 hello\r\n",
    ],
)
def test_tables_are_read_in_any_layout(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    assert as_tuples(path) == [("hello", 0.1, 0.4), ("New York", 0.5, 0.9)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1 0.4 hello\n0.5 hello", "line 2: expected start, end"),
        ("0.1 0.4 hello\n\n0.9 0.5 world", "line 3: .*before it starts"),
        ("0.1 nan hello", "line 1: .*times in seconds"),
        ("begin end word\n0.1 0.4 hello", "line 1"),
    ],
)
def test_an_invalid_table_is_reported_with_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TranscriptError, match=f"words.tsv: {message}"):
        read_words(path)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="cannot read words"):
        read_words(tmp_path / "none.tsv")
    (tmp_path / "latin.tsv").write_bytes(b"0 1 caf\xe9")
    with pytest.raises(TranscriptError, match="save it as UTF-8"):
        read_words(tmp_path / "latin.tsv")
    (tmp_path / "empty.tsv").write_bytes(b"")
    assert read_words(tmp_path / "empty.tsv") == []


def test_a_json_line_is_parsed_and_sorted() -> None:
    line = (
        '{"type":"words","words":[{"word":"b","start":1,"end":2},{"word":"a","start":0,"end":1}]}'
    )
    assert [(w.text, w.start_s, w.end_s) for w in parse_json_line(line)] == [
        ("a", 0.0, 1.0),
        ("b", 1.0, 2.0),
    ]
    assert parse_json_line(b'{"words": []}') == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "nonsense",
        b"\xff\xfe\x00",
        "[" * 100_000,
        '{"words": {}}',
        '{"words": [3]}',
        '{"words": [{"word": "a", "start": 0}]}',
        '{"words": [{"word": "a", "start": "0", "end": 1}]}',
        '{"words": [{"word": "a", "start": true, "end": 1}]}',
        '{"words": [{"word": "a", "start": 0, "end": 1' + "0" * 400 + "}]}",
        '{"words": [{"word": "a", "start": 0, "end": NaN}]}',
        '{"words": [{"word": " ", "start": 0, "end": 1}]}',
        '{"words": [{"word": "a", "start": 2, "end": 1}]}',
    ],
)
def test_invalid_messages_are_refused(line: str | bytes) -> None:
    with pytest.raises(TranscriptError):
        parse_json_line(line)


def test_phones_are_read_from_their_own_tier(tmp_path: Path) -> None:
    path = tmp_path / "speech.TextGrid"
    path.write_text(LONG)
    (phone,) = read_phones(path)
    assert (phone.text, phone.start_s, phone.end_s) == ("AH0", 0.0, 2.5)
    path.write_text(LONG.replace('"phones"', '"sounds"'))
    assert read_phones(path) == []
    path.write_text("a letter")
    with pytest.raises(TranscriptError, match="speech"):
        read_phones(path)


@pytest.mark.reference
def test_real_alignments(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "data" / "beat2").glob("*.TextGrid")):
        words = read_words(path)
        assert len(words) > 100
        assert words[-1].end_s > 55
        assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(words))
    first = read_words(shared_dir / "data" / "beat2" / "2_scott_0_1_1.TextGrid")[0]
    assert (first.text, first.start_s, first.end_s) == ("the", 1.42, 1.52)
    phones = read_phones(shared_dir / "data" / "beat2" / "2_scott_0_1_1.TextGrid")
    assert [phone.text for phone in phones[:4]] == ["DH", "AH0", "F", "ER1"]
