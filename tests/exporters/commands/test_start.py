"""Entry points install the signal handlers before any slow import."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile

from tests.support.audio import babble

LIGHT = """
import sys
from exporters.commands.start import live
heavy = sorted({"numpy", "torch"} & set(sys.modules))
assert not heavy, heavy
sys.argv = ["emage-live", "--help"]
live()
"""


def test_it_is_light_to_import_and_runs_the_command(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: emage-live")


@pytest.mark.parametrize("name", ["live", "render"])
def test_the_installed_programs_begin_there(root: Path, name: str) -> None:
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[f"emage-{name}"] == f"exporters.commands.start:{name}"


RENDER = """
import sys
from exporters.commands.start import render
sys.argv = ["emage-render", *sys.argv[1:]]
sys.exit(render())
"""


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_rendering_and_leaves_no_part(
    root: Path, tmp_path: Path, name: str
) -> None:
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    sounds.mkdir()
    for stem in ("a", "b"):
        soundfile.write(sounds / f"{stem}.wav", babble(300.0 if stem == "b" else 1.0), 16000)
    command = [sys.executable, "-c", RENDER, str(sounds), "-o", str(out), "--kernel", "eager"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(line.startswith("1/2 ") for line in process.stdout)  # after notes, if there are any
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert sorted(path.name for path in out.iterdir()) == ["a.npz", "render.json"]
