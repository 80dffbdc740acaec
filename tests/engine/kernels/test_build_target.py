"""The cache folder of a model depends on everything that changes its graphs."""

from pathlib import Path

import pytest

from tests.support.build_targets import target_of
from tests.support.tiny_bundle import tiny_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_another_model_has_another_folder(tmp_path: Path) -> None:
    one, two = tiny_bundle(), tiny_bundle()
    assert target_of(one).folder == target_of(two).folder
    folder = target_of(one).folder
    assert folder is not None
    assert folder.is_relative_to(tmp_path / "cache")
    two.gesture.classifiers[0].second.bias.data[0] += 1.0
    assert target_of(one).folder != target_of(two).folder
    assert target_of(tiny_bundle(hop=4)).folder != target_of(one).folder
