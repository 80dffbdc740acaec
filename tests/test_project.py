"""Consistency of project files: versions, licence, wheel, sdist and CI script."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_all_files_have_the_same_version() -> None:
    version = PROJECT["project"]["version"]
    assert re.search(rf"^version: {re.escape(version)}$", text("CITATION.cff"), re.M)
    newest = re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M)
    assert newest is not None
    assert newest[1] == version


def test_the_torch_pin_is_the_same_in_all_files() -> None:
    (pin,) = [d for d in PROJECT["project"]["dependencies"] if d.startswith("torch")]
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", pin)
    assert f"TORCH ?= {pin}\n" in text("Makefile")
    assert f"pip install {pin}\n" in text("README.md")


def test_the_licence_is_complete() -> None:
    licence = text("LICENSE")
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_tests_and_bench_are_not_in_the_wheel() -> None:
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert sorted(packages) == ["engine*", "exporters*", "training*"]


@pytest.mark.parametrize("package", ["engine", "exporters", "training"])
def test_data_files_of_packages_are_in_the_wheel(package: str) -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"].get(package, [])
    packed = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    present = {
        path
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".md") and "__pycache__" not in path.parts
    }
    assert {p.relative_to(ROOT).as_posix() for p in present - packed} == set()


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return {name for name in listed if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tracked: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with sdist and wheel of the tracked files, built without a network."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    for part in ("sdist", "wheel"):
        code = f"import sys; from setuptools import build_meta as b; b.build_{part}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, str(out)], cwd=tree, check=True)
    return out


@pytest.mark.checkout
def test_the_sdist_equals_the_tracked_files(tracked: set[str], built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
        modes = {m.name.partition("/")[2]: m.mode for m in archive.getmembers()}
    generated = {n for n in names if n.startswith("emage_live.egg-info/")} | {
        "PKG-INFO",
        "setup.cfg",
    }
    assert names - generated == tracked
    assert modes[".ci/run"] & 0o100


@pytest.mark.checkout
def test_the_wheel_has_only_files_of_packages(tracked: set[str], built: Path) -> None:
    (path,) = built.glob("*.whl")
    names = {n for n in zipfile.ZipFile(path).namelist() if ".dist-info/" not in n}
    packages = ("engine/", "exporters/", "training/")
    assert names - {"training/README.md"} == {
        n for n in tracked if n.startswith(packages) and not n.endswith(".md")
    }


@pytest.mark.parametrize("package", ["engine", "exporters"])
def test_typed_packages_have_a_marker(package: str) -> None:
    assert package in PROJECT["tool"]["mypy"]["packages"]
    assert (ROOT / package / "py.typed").is_file()


def test_console_scripts_exist() -> None:
    for target in PROJECT["project"]["scripts"].values():
        module, function = target.split(":")
        source = text(module.replace(".", "/") + ".py")
        assert f"def {function}(" in source


@pytest.mark.posix
def test_the_ci_script_is_executable_and_tests_twice() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    bare, everything = text(".ci/run").splitlines()[-2:]
    assert bare == """make test PYTEST_ARGS='--bare -m "not slow"'"""
    assert everything == "exec make test"


def test_the_ci_script_installs_needed_packages_and_existing_extras() -> None:
    script = text(".ci/run")
    packages = "chromium espeak-ng flite git g++ liblo-tools make pulseaudio python3-venv strace"
    assert set(packages.split()) <= set(script.split())
    (extras,) = re.findall(r"EXTRAS:-(\S+)}", script)
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert {"dev", "text"} <= set(extras.split(","))
