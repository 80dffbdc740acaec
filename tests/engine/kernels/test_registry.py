import pytest

from engine.errors import KernelError
from engine.kernels.registry import KERNEL_NAMES, make_kernel
from tests.models import tiny_bundle


def test_a_kernel_is_made_by_its_name() -> None:
    assert "eager" in KERNEL_NAMES
    assert make_kernel("eager", tiny_bundle().gesture).name == "eager"


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(KernelError, match="unknown kernel 'warp'; expected one of eager"):
        make_kernel("warp", tiny_bundle().gesture)
