"""requirements-tested.txt: exact public versions, within the ranges of pyproject.toml."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.lock import lines, main

ROOT = Path(__file__).parents[2]
PINS = [
    line
    for line in (ROOT / "requirements-tested.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


def test_lines_are_sorted_public_versions_without_tools() -> None:
    installed = [("Zlib_B.x", "1.0"), ("pip", "23"), ("torch", "2.13.0+cpu")]
    found = [SimpleNamespace(metadata={"Name": name}, version=v) for name, v in installed]
    assert lines(found) == ["torch==2.13.0", "zlib-b-x==1.0"]  # type: ignore[arg-type]


def test_command_prints_this_environment(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    out = capsys.readouterr().out
    assert out.startswith("# Package versions")
    assert re.search(r"^numpy==\d", out, re.M)


def test_committed_file_has_exact_versions_and_no_urls() -> None:
    names = [line.partition("==")[0] for line in PINS]
    assert names == sorted(names)
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.!]+", line) for line in PINS)


def test_committed_file_has_every_required_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["viewer"], *extras["cpu"], *extras["mic"]]
    names = {re.split(r"[\[<>=!]", item)[0] for item in wanted} - {"emage-live"}
    assert names <= {line.partition("==")[0] for line in PINS}
