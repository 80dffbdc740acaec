"""Tests are skipped by capability marks only, and `--bare` hides the optional dependencies."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import (
    CAPABILITIES,
    HIDDEN_PROGRAMS,
    OPTIONAL_LIBRARIES,
    OPTIONAL_PROGRAMS,
    missing,
)

ROOT = Path(__file__).resolve().parents[1]
HOOK = ROOT / "tests" / "conftest.py"
SKIPS = {
    *("pytest.skip", "pytest.xfail", "pytest.importorskip"),
    *("pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"),
    *("unittest.skip", "unittest.skipIf", "unittest.skipUnless", "unittest.SkipTest"),
}

SAMPLE_TESTS = """
import importlib.util, shutil, subprocess, sys
import pytest

def names_found(program, *arguments):
    code = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

@pytest.mark.viewer
def test_that_needs_viser(): raise AssertionError("not skipped")

@pytest.mark.receiver
def test_that_needs_oscdump(): raise AssertionError("not skipped")

def test_that_needs_nothing(): pass

def test_libraries_are_hidden_here_and_in_children():
    libraries = LIBRARIES
    assert [n for n in libraries if importlib.util.find_spec(n)] == []
    assert names_found(sys.executable, *libraries, "numpy") == "['numpy']"
    with pytest.raises(ModuleNotFoundError, match="viser"):
        import viser

def test_programs_are_hidden_here_and_in_children():
    assert [n for n in PROGRAMS if shutil.which(n)] == []
    for name in PROGRAMS:
        assert subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True).returncode
    assert shutil.which("sh") and shutil.which("git")
"""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def skip_rules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each skip rule in a source other than capability marks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in SKIPS:
            yield node.lineno, name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (name := f"{node.module}.{alias.name}") in SKIPS:
                    yield node.lineno, name


def optional_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each import of an optional library at module level."""
    for node in tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from ((node.lineno, n) for n in names if n.partition(".")[0] in OPTIONAL_LIBRARIES)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("@pytest.mark.skipif(True, reason='x')\ndef test(): pass", ["pytest.mark.skipif"]),
        ("def test():\n    pytest.importorskip('viser')", ["pytest.importorskip"]),
        ("pytestmark = pytest.mark.skip", ["pytest.mark.skip"]),
        ("from pytest import skip", ["pytest.skip"]),
        ("@pytest.mark.viewer\ndef test(): pass", []),
    ],
)
def test_skip_rules_are_recognised(line: str, found: list[str]) -> None:
    assert [name for _, name in skip_rules(ast.parse(line))] == found


def test_tests_have_no_skip_rules() -> None:
    problems = [
        f"{path}:{line}: {name}; mark the test with a name of tests/support/capabilities.py instead"
        for path, tree in sources()
        if ROOT / path != HOOK
        for line, name in skip_rules(tree)
    ]
    assert not problems, "\n" + "\n".join(problems)


def test_optional_libraries_are_imported_inside_tests() -> None:
    problems = [
        f"{path}:{line}: import {name} inside the tests that need it"
        for path, tree in sources()
        for line, name in optional_imports(tree)
    ]
    assert not problems, "\n" + "\n".join(problems)


def test_missing_capabilities_are_named() -> None:
    for name, capability in CAPABILITIES.items():
        assert missing(name) in (None, f"{name}: needs {capability.needs}")


def test_bare_hides_programs_and_libraries_and_reports_skipped_tests(tmp_path: Path) -> None:
    source = SAMPLE_TESTS.replace("LIBRARIES", repr(sorted(OPTIONAL_LIBRARIES)))
    source = source.replace("PROGRAMS", repr(sorted(HIDDEN_PROGRAMS)))
    (tmp_path / "test_small.py").write_text(source, encoding="utf-8")
    shutil.copy(HOOK, tmp_path / "conftest.py")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--bare", "-q", "-ra", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed, 2 skipped" in result.stdout
    assert "viewer: needs viser and trimesh" in result.stdout
    assert "receiver: needs oscdump (liblo-tools)" in result.stdout


def test_build_programs_are_not_hidden() -> None:
    assert {"git", "make"} == OPTIONAL_PROGRAMS - HIDDEN_PROGRAMS
