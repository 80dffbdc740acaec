import subprocess
import sys
import tomllib

import pytest

from engine.system.version import installed_version, version_line

WITHOUT_METADATA = """
import importlib.metadata, runpy, sys
def version(name):
    raise importlib.metadata.PackageNotFoundError(name)
importlib.metadata.version = version
from engine.system.version import installed_version
print(installed_version())
"""


def test_the_version_is_that_of_the_project(root) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert installed_version() == project["version"]
    assert version_line() == f"%(prog)s {project['version']}"


def test_sources_without_metadata_have_no_version(root) -> None:
    command = [sys.executable, "-c", WITHOUT_METADATA]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "unknown (not installed)\n"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("exporters.commands.live", "emage-live"),
        ("exporters.commands.render", "emage-render"),
        ("exporters.commands.bundle", "emage-bundle"),
        ("exporters.commands.bench", "emage-bench"),
        ("training.__main__", "emage-train"),
    ],
)
def test_every_program_prints_its_version_and_exits(module: str, name: str, root) -> None:
    code = f"from {module} import main; main(['--version'])"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{name} {installed_version()}\n"
