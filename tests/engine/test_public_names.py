"""The public names of the engine exist, and importing the package loads no heavy library."""

import subprocess
import sys
from pathlib import Path

import pytest

import engine


@pytest.mark.parametrize("name", engine.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(engine, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'Gesture'"):
        _ = engine.Gesture


def test_importing_the_package_loads_no_heavy_library(root: Path) -> None:
    code = "import sys, engine; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
