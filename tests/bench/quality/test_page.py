import re
from html.parser import HTMLParser

from bench.quality.page import formatted, page

NUMBERS = {
    "takes": 1,
    "seconds": 12.3,
    "pred": {"wrist_speed_m_s": 0.51234567, "skate_ratio": None, "own_m": 2.0},
    "gt": {"wrist_speed_m_s": 0.6},
    "both": {"fgd": 3.25, "wrist_speed_r": None},
    "by_take": {"a<b": {"pred": {"jerk_m_s3": 12.0}, "gt": {"jerk_m_s3": 13.0}, "both": {}}},
    "notes": ["faces & hands"],
    "problems": [("c", "no <motion>")],
    "codes": {"upper": {"codes": 256, "usage": 0.5, "perplexity": 91.2}},
}


class Balance(HTMLParser):
    """Parser that collects text, and counts tags by name."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.links = "", [], []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def parsed(numbers: dict) -> Balance:
    reader = Balance()
    reader.feed(page("made & true", numbers, [("it's a strip", b"\x89PNG")]))
    return reader


def test_the_page_shows_the_numbers() -> None:
    text = parsed(NUMBERS).text
    for wanted in ("made & true", "0.5123", "0.6", "3.25", "a<b (pred)", "13", "50 %", "91.2"):
        assert wanted in text
    assert "faces & hands" in text
    assert "c: no <motion>" in text
    # A number without a meaning has its name.
    assert "own_m" in text
    assert text.index("wrist_speed_m_s") < text.index("own_m")


def test_the_page_loads_nothing() -> None:
    reader = parsed(NUMBERS)
    assert [link for link in reader.links if not link.startswith("data:image/png;base64,")] == []
    assert reader.tags.count("img") == 1
    assert "script" not in reader.tags
    assert not re.search(r"https?://", page("t", NUMBERS, []))


def test_empty_sections_have_no_heading() -> None:
    bare = {**NUMBERS, "notes": [], "problems": [], "codes": None}
    text = parsed(bare).text
    assert "Notes" not in text
    assert "Problems" not in text
    assert "Codes" not in text


def test_numbers_have_four_digits() -> None:
    assert [formatted(v) for v in (None, 0.0, 0.123456, 123456.0)] == [
        *("\N{EN DASH}", "0", "0.1235", "1.235e+05"),
    ]
