"""Batches of any size are padded to the batch sizes of the kernels."""

import pytest
import torch

from engine.errors import KernelError
from engine.kernels.buckets import BucketedKernel, batch_sizes
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import MOTION
from engine.stream.pool import StreamPool
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle


class FixedBatchKernel(EagerKernel):
    """Accepts only batches of `rows` windows."""

    def __init__(self, rows: int) -> None:
        super().__init__(tiny_bundle().gesture)
        self.rows = rows
        self.calls = 0

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        assert {len(tensor) for tensor in inputs} == {self.rows}
        self.calls += 1
        return super().__call__(inputs)


def window(rows: int) -> WindowInputs:
    generator = torch.Generator().manual_seed(rows)
    width = tiny_bundle().config.features.width
    return WindowInputs(
        torch.randn(rows, 24, MOTION.width, generator=generator),
        torch.ones(rows, 24, MOTION.width),
        torch.randn(rows, 24, width, generator=generator),
        torch.zeros(rows, 24, dtype=torch.int64),
        torch.zeros(rows, dtype=torch.int64),
    )


def test_batch_sizes_limit_padding() -> None:
    assert batch_sizes(1) == [1]
    assert batch_sizes(8) == [1, 2, 3, 4, 6, 8]
    assert batch_sizes(10) == [1, 2, 3, 4, 6, 8, 10]
    for most in (5, 100, 1000):
        sizes = batch_sizes(most)
        assert sizes[-1] == most
        for rows in range(1, most + 1):
            assert min(size for size in sizes if size >= rows) <= 1.5 * rows + 0.5


@pytest.mark.parametrize(("rows", "used"), [(1, 1), (2, 2), (3, 4), (4, 4)])
def test_the_smallest_sufficient_batch_size_is_used(rows: int, used: int) -> None:
    kernels = {size: FixedBatchKernel(size) for size in (4, 1, 2)}
    outputs = BucketedKernel(kernels)(window(rows))
    expected = EagerKernel(tiny_bundle().gesture)(window(rows))
    actual, expected_outputs = ((*made.latents, *made.logits) for made in (outputs, expected))
    for x, y in zip(actual, expected_outputs, strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)
    assert {size for size, kernel in kernels.items() if kernel.calls} == {used}


def test_no_kernels_and_too_large_batches_are_refused() -> None:
    with pytest.raises(KernelError, match="expected at least one kernel"):
        BucketedKernel({})
    with pytest.raises(KernelError, match="made for up to 2 rows, not 3"):
        BucketedKernel({2: FixedBatchKernel(2)})(window(3))


def test_a_pool_can_step_any_subset_of_its_streams() -> None:
    kernel = BucketedKernel({size: FixedBatchKernel(size) for size in batch_sizes(4)})
    assert kernel.name == "eager"
    pool = StreamPool(tiny_bundle(), 4, step=staged_step(tiny_bundle(), kernel=kernel))
    for number in range(4):
        pool.feed_audio(pool.open(seed=number), babble(0.5, seed=number))
    for slots in ([0], [1, 3], [0, 2, 3], [0, 1, 2, 3]):
        assert sorted(pool.step(slots)) == slots
