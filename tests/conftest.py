"""Fixtures for all tests, and the skips for what a machine lacks."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures_sound"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference models and recordings beside the checkout; tests that need them skip elsewhere."""
    directory = ROOT.parent / "shared"
    if not directory.is_dir():
        pytest.skip("no reference material in ../shared")
    return directory
