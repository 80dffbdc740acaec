"""Rows in memory and in memory-mapped files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from training.data.memmap import INDEX, concatenate_rows, key_of, map_rows


def takes(count: int = 3, seed: int = 0):
    random = np.random.default_rng(seed)
    for take in range(count):
        length = 4 + take
        yield (
            f"take {take}",
            {
                "sound": random.standard_normal((length, 2, 5)).astype(np.float16),
                "words": random.integers(0, 9, length),
                "valid": random.random((length, 4)) < 0.5,
            },
        )


def never():
    raise AssertionError("the rows were computed again")
    yield


def test_mapped_rows_equal_rows_in_memory(tmp_path: Path) -> None:
    here, there = concatenate_rows(takes()), map_rows(takes(), tmp_path / "rows", "k")
    assert here.lengths == there.lengths == (4, 5, 6)
    assert here.labels == there.labels == ("take 0", "take 1", "take 2")
    for name, array in here.arrays.items():
        assert array.dtype == there.arrays[name].dtype
        assert torch.equal(array, there.arrays[name])
    index = torch.tensor([[1, 2], [9, 14]])
    assert torch.equal(here.arrays["sound"][index], there.arrays["sound"][index])


def test_rows_of_the_same_key_are_reused(tmp_path: Path) -> None:
    first = map_rows(takes(), tmp_path / "rows", "k")
    again = map_rows(never(), tmp_path / "rows", "k")
    assert torch.equal(first.arrays["words"], again.arrays["words"])
    other = map_rows(takes(seed=1), tmp_path / "rows", "other")
    assert not torch.equal(first.arrays["sound"], other.arrays["sound"])
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_incomplete_rows_are_written_again(tmp_path: Path) -> None:
    map_rows(takes(), tmp_path / "rows", "k")
    (tmp_path / "rows" / INDEX).unlink()
    assert map_rows(takes(), tmp_path / "rows", "k").lengths == (4, 5, 6)


def test_writes_to_tensors_do_not_change_the_files(tmp_path: Path) -> None:
    rows = map_rows(takes(), tmp_path / "rows", "k").arrays["words"]
    kept = rows.clone()
    rows[:] = -1
    assert torch.equal(map_rows(never(), tmp_path / "rows", "k").arrays["words"], kept)


def test_inconsistent_rows_are_refused(tmp_path: Path) -> None:
    uneven = [("a", {"x": np.zeros((3, 2)), "y": np.zeros(4)})]
    with pytest.raises(ConfigError, match=r"one length, got \{'x': 3, 'y': 4\}"):
        concatenate_rows(uneven)
    unlike = [("a", {"x": np.zeros((3, 2))}), ("b", {"x": np.zeros((3, 5))})]
    with pytest.raises(ConfigError, match="rows x must be alike"):
        map_rows(unlike, tmp_path / "rows", "k")


def test_key_depends_on_files_weights_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"one")
    weights = {"w": torch.zeros(3)}
    first = key_of([path], [weights], 3)
    assert key_of([path], [{"w": torch.zeros(3)}], 3) == first
    assert key_of([path], [weights], 4) != first
    assert key_of([path], [{"w": torch.ones(3)}], 3) != first
    path.write_bytes(b"other")
    assert key_of([path], [weights], 3) != first
