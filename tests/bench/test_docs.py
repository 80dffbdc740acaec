"""The generated pages of docs, and whether they are up to date."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import pytest

from bench import docs
from engine.bundle.config import BundleConfig


class Kind(StrEnum):
    A = "a"
    B = "b"


@dataclass(frozen=True)
class Inner:
    """An inner table.

    Attributes:
        size: width, pixels; 0 for none.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"width": "size"}

    size: int = 3


@dataclass(frozen=True)
class Outer:
    """An outer table of
    two lines. Raises nothing: not an entry.

    Attributes:
        needed: share, 0 to 1.
        kind: a | b, with a text of
            two lines.
        unknown: no field of this name.

    """

    needed: float
    kind: Kind = Kind.A
    tables: dict[Kind, Inner] = field(default_factory=dict)
    pair: tuple[int, int] | None = None
    many: tuple[str, ...] = ("x",)
    inner: Inner = field(default_factory=Inner)
    other: Inner = Inner(5)
    on: bool = True


def test_committed_pages_are_up_to_date() -> None:
    old = [path.name for path, text in docs.pages().items() if path.read_text("utf-8") != text]
    assert not old, "run: python -m bench.docs"


def test_every_module_is_listed() -> None:
    page = docs.modules()
    section = page.partition("## engine/stream\n")[2].partition("\n## ")[0]
    files = {path.name for path in (docs.ROOT / "engine" / "stream").glob("*.py")}
    assert {row.split("`")[1] for row in section.splitlines() if "`" in row[:4]} == files - {
        "__init__.py"
    }


def test_table_has_one_row_per_field() -> None:
    assert docs.table(Outer).splitlines() == [
        "### Outer",
        "",
        "An outer table of two lines. Raises nothing: not an entry.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
        "| `needed` | number | *required* | share, 0 to 1. |",
        '| `kind` | `a`, `b` | `"a"` | a \\| b, with a text of two lines. unknown: no field of '
        "this name. |",
        "| `tables` | table: `a`, `b` = [Inner](#inner) | `{}` |  |",
        "| `pair` | list of 2: integer, integer, or null | `null` |  |",
        '| `many` | list of text | `["x"]` |  |',
        "| `inner` | [Inner](#inner) | its defaults |  |",
        "| `other` | [Inner](#inner) | `size = 5` |  |",
        "| `on` | true or false | `true` |  |",
    ]


def test_former_keys_are_listed() -> None:
    assert docs.table(Inner).splitlines()[-1] == "Former keys: `width` is now `size`."


def test_nested_tables_are_found_once() -> None:
    assert docs.reachable(Outer) == [Outer, Inner]


@pytest.mark.parametrize("root", ["bundle.json", *docs.STAGES])
def test_every_key_has_a_meaning(root: str) -> None:
    top = BundleConfig if root == "bundle.json" else docs.settings_of(root)
    classes = [] if top is None else docs.reachable(top)
    missing = [
        f"{cls.__name__}.{item.name}"
        for cls in classes
        for item in fields(cls)
        if item.init and item.name not in docs.meanings(cls)
    ]
    assert not missing, "add `name: meaning` lines to the section Attributes: of the class"


def test_page_covers_bundle_and_training() -> None:
    page = docs.configuration()
    for cls in docs.reachable(BundleConfig):
        assert page.count(f"\n### {cls.__name__}\n") == 1
    for stage in ("vq", "gesture", "bundle", "import", "beat2"):
        assert f"\n## Stage {stage}\n" in page


def test_check_compares_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    assert docs.main(["--check"]) == 1
    assert "run: python -m bench.docs" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "benchmarks.md",
        "configuration.md",
        "modules.md",
    }
