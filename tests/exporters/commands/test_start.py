"""The entry point: signals are taken over before anything slow is imported."""

import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_the_installed_program_begins_there(root: Path) -> None:
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["emage-live"] == "exporters.commands.start:live"
