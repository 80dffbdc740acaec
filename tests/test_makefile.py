"""make on a fresh machine: one error line for a missing program, no repeated installation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.make
ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ("VENV", "TORCH", "PIP_ARGS", "PYTHON", "PYTEST_ARGS", "EXTRAS", "ARGS")
MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def make(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make without settings of a make that runs the tests."""
    others = {k: v for k, v in os.environ.items() if k not in (*SETTINGS, *MAKE_VARIABLES)}
    inherited = {k: v for k, v in others.items() if not k.startswith("PIP_")}
    return subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env={**inherited, "PIP_CONFIG_FILE": os.devnull, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def errors(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode != 0
    return [line for line in result.stderr.splitlines() if line.startswith("error: ")]


def program(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("target", ["test", "demo"])
def test_an_old_python_is_reported(target: str, tmp_path: Path) -> None:
    old = program(tmp_path / "old", 'test "$1" = -V && echo Python 3.9.2')
    result = make(target, f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    (line,) = errors(result)
    assert line.startswith("error: expected Python 3.11 or newer, got Python 3.9.2; install one")
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_reported(tmp_path: Path) -> None:
    for name in ("sh", "make", "rm", "touch"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    result = make("test", f"VENV={tmp_path / 'venv'}", PATH=str(tmp_path))
    (line,) = errors(result)
    assert "expected Python 3.11 or newer, got " in line
    assert "not found" in line


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_missing_venv_module_suggests_the_debian_package(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("raise ModuleNotFoundError")
    arguments = ("test", f"VENV={tmp_path / 'venv'}", f"PYTHON={sys.executable}")
    (line,) = errors(make(*arguments, PYTHONPATH=str(tmp_path)))
    assert line.endswith("on Debian or Ubuntu run: apt install python3-venv")
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow
def test_a_failed_installation_is_reported_after_the_output_of_pip(tmp_path: Path) -> None:
    index = "--index-url http://127.0.0.1:9 --retries 0"
    arguments = ("test", f"VENV={tmp_path / 'venv'}", f"PYTHON={sys.executable}")
    (line,) = errors(make(*arguments, f"PIP_ARGS={index}"))
    assert line.startswith("error: pip could not install what is needed, see above; it needs a net")
    assert line.endswith("make PIP_ARGS=...")
    assert (tmp_path / "venv/bin/python").exists()
    assert not list((tmp_path / "venv").glob(".installed-*"))


def test_only_a_changed_project_is_reinstalled(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python, stamp = tmp_path / ".venv/bin/python", tmp_path / ".venv/.installed-dev"
    python.touch()
    stamp.touch()
    assert "pip install" not in make("-n", "test", cwd=tmp_path).stdout
    os.utime(stamp, (0, 0))  # older than pyproject.toml
    assert "-e '.[dev]'" in make("-n", "test", cwd=tmp_path).stdout
    stamp.touch()
    assert "-e '.[dev,text]'" in make("-n", "test", "EXTRAS=dev,text", cwd=tmp_path).stdout
    python.unlink()
    python.symlink_to("gone")  # a dangling link, as after removal of that Python
    output = make("-n", "test", cwd=tmp_path).stdout
    assert "-m venv" in output
    assert "-e '.[dev]'" in output


def test_clean_removes_only_generated_files(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    sources = [f"{name}/kept.py" for name in ("engine", "exporters", "training", "bench", "tests")]
    generated = [".venv/bin/python", "build/x", "dist/x", "emage_live.egg-info/x", ".mypy_cache/x"]
    generated += ["engine/audio/__pycache__/x.pyc", "tests/__pycache__/x.pyc"]
    for name in sources + generated:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for _ in range(2):
        assert make("clean", cwd=tmp_path).returncode == 0
        left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
        assert left == {"Makefile", *sources}
