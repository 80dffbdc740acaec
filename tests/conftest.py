"""Shared fixtures, and the hook that skips tests whose capabilities are missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import capabilities

pytest_plugins = ["tests.support.sound_card"]

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bare", action="store_true", help="run without the optional programs and libraries"
    )


def pytest_configure(config: pytest.Config) -> None:
    for name, capability in capabilities.CAPABILITIES.items():
        config.addinivalue_line("markers", f"{name}: needs {capability.needs}")
    if config.getoption("--bare"):
        capabilities.hide()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = [m.name for m in item.iter_markers() if m.name in capabilities.CAPABILITIES]
        reasons = [reason for name in names if (reason := capabilities.missing(name))]
        if reasons:
            item.add_marker(pytest.mark.skip(reason="; ".join(sorted(set(reasons)))))


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache folder per run: graphs are converted once, and the user's cache is not used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of reference models and recordings; for tests marked `reference`."""
    return ROOT.parent / "shared"
