"""Memory returned to the system, measured from /proc."""

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


def test_freed_heap_memory_is_returned_to_the_system() -> None:
    # small blocks below a live one: the C library cannot shrink its heap by itself
    blocks = [bytearray(60_000) for _ in range(2000)]
    live = [bytearray(60_000)]
    before = resident_mb()
    del blocks
    trim_heap()
    assert resident_mb() < before - 60
    assert live


@pytest.mark.page_out
def test_mapped_weights_are_paged_out_and_reloaded(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.arange(10_000_000, dtype=torch.float32)}, path)
    weight = load_file(str(path))["weight"]
    assert float(weight.sum(dtype=torch.float64)) > 0  # reads all pages
    before = resident_mb()
    PageOut()(weight)
    assert resident_mb() < before - 20
    assert torch.equal(weight, torch.arange(10_000_000, dtype=torch.float32))


def test_weights_without_a_file_are_unchanged() -> None:
    weight = torch.randn(2000, 2000)
    expected = weight.clone()
    PageOut()(weight)
    assert torch.equal(weight, expected)
