"""The public names of the engine exist, and importing the package alone stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

import engine


@pytest.mark.parametrize("name", engine.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(engine, name) is not None


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'Gesture'"):
        _ = engine.Gesture


def test_importing_the_package_loads_nothing_heavy(root: Path) -> None:
    code = "import sys, engine; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
