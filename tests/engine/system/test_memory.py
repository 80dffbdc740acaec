"""What goes back to the system, read from /proc."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.system.memory import PageOut, trim_heap

pytestmark = pytest.mark.linux


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def test_what_was_freed_goes_back_to_the_system() -> None:
    # Small blocks between which something stays: the C library cannot shrink its heap by itself.
    blocks = [bytearray(60_000) for _ in range(2000)]
    kept = [bytearray(60_000)]
    before = resident_mb()
    del blocks
    trim_heap()
    assert resident_mb() < before - 60
    assert kept


@pytest.mark.page_out
def test_weights_of_a_mapped_file_leave_memory_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.arange(10_000_000, dtype=torch.float32)}, path)
    weight = load_file(str(path))["weight"]
    assert float(weight.sum(dtype=torch.float64)) > 0  # all of it has been read
    before = resident_mb()
    PageOut()(weight)
    assert resident_mb() < before - 20
    assert torch.equal(weight, torch.arange(10_000_000, dtype=torch.float32))


def test_weights_that_are_in_no_file_stay_as_they_are() -> None:
    weight = torch.randn(2000, 2000)
    expected = weight.clone()
    PageOut()(weight)
    assert torch.equal(weight, expected)
