"""Untrusted files are read without executing anything in them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle.checkpoints.safe_read import read_checkpoint, read_json
from engine.bundle.checkpoints.vocabulary import read_vocabulary, unpickle_vocabulary
from engine.errors import BundleError
from tests.support.reference_model import write_pointer

STATE = {"module.a": torch.ones(2), "b.module.c": torch.zeros(1)}


class RunsCommand:
    """Pickles as a call of os.system."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> object:
        return os.system, (f"touch {self._trace}",)


def test_only_a_leading_module_prefix_is_removed(tmp_path: Path) -> None:
    torch.save({"model_state": STATE, "epoch": 3}, tmp_path / "a.bin")
    assert list(read_checkpoint(tmp_path / "a.bin")) == ["a", "b.module.c"]


def test_a_checkpoint_with_code_is_an_error(tmp_path: Path) -> None:
    path, trace = tmp_path / "a.bin", tmp_path / "trace"
    torch.save({"model_state": {**STATE, "deed": RunsCommand(trace)}}, path)
    with pytest.raises(BundleError, match="not loaded") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x80\x02}q\x00.", b"\x00" * 64])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.bin"):
        read_checkpoint(path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save({"model_state": STATE}, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BundleError, match="cut short"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [STATE, [1], {"model_state": {"a": 3}}])
def test_a_checkpoint_of_another_model_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.bin")
    with pytest.raises(BundleError, match="model_state"):
        read_checkpoint(tmp_path / "a.bin")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\udc80"], ids=range(5))
def test_json_without_an_object_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match=r"a\.json"):
        read_json(path)


@pytest.mark.parametrize("read", [read_checkpoint, read_json, read_vocabulary, unpickle_vocabulary])
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "large.bin"
    write_pointer(path)
    with pytest.raises(BundleError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is a pointer of Git LFS")
    assert "git lfs pull" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "content", [np.float64(3.0), RunsCommand(Path("nothing")), np.random.default_rng(0)]
)
def test_advice_on_unsafe_loading_is_not_shown(tmp_path: Path, content: object) -> None:
    path = tmp_path / "a.bin"
    torch.save({"model_state": STATE, "more": content}, path)
    with pytest.raises(BundleError, match="it asks for") as caught:
        read_checkpoint(path)
    for advice in ("weights_only", "add_safe_globals", "trust", "\n"):
        assert advice not in str(caught.value)
