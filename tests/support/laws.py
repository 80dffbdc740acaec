"""Streaming laws for any component that is fed samples and returns arrays.

split         the output is bit-exact for every split of the audio into blocks
look-ahead    a frame does not depend on samples after its end
snapshot      snapshot, step, restore, step repeats the output
reset         the output after a reset is that of a new component
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np


class StreamingComponent(Protocol):
    """A streaming component; `snapshot` and `restore` are needed by `snapshot_law` only."""

    def feed(self, samples: Any) -> Any: ...

    def reset(self) -> None: ...


def splits(total: int, seed: int = 0) -> Iterator[list[int]]:
    """Block sizes that sum to `total`: one block, equal, random with empty ones, single samples."""
    rng = np.random.default_rng(seed)
    yield [total]
    for size in (160, 533, 4096):
        yield [min(size, total - start) for start in range(0, total, size)]
    for largest in (40, 3000):
        sizes: list[int] = []
        while sum(sizes) < total:
            sizes += [0, min(int(rng.integers(1, largest)), total - sum(sizes))]
        yield sizes
    head = min(total, 700)
    yield [1] * head + [total - head]


def feed_in(component: StreamingComponent, samples: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Feed blocks of these sizes and concatenate the outputs."""
    ends = np.cumsum(sizes)
    outputs = [component.feed(samples[e - s : e]) for s, e in zip(sizes, ends, strict=True)]
    return np.concatenate(outputs)


def split_law(component: StreamingComponent, samples: np.ndarray) -> np.ndarray:
    """Check that every split gives the same bits; return the output."""
    results = []
    for sizes in splits(len(samples)):
        component.reset()
        results.append(feed_in(component, samples, sizes))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert len(results[0]), "the law was tried on no output at all"
    return results[0]


def look_ahead_law(
    component: StreamingComponent,
    samples: np.ndarray,
    end_of: Callable[[int], int],
    frames: Sequence[int],
) -> None:
    """Check that output row k depends only on samples before `end_of(k)`, and on some of them."""
    component.reset()
    expected = component.feed(samples)
    loud = np.random.default_rng(1).uniform(-1, 1, len(samples)).astype(samples.dtype)
    for frame in frames:
        changed = np.concatenate([samples[: end_of(frame)], loud[end_of(frame) :]])
        component.reset()
        result = component.feed(changed)
        np.testing.assert_array_equal(result[: frame + 1], expected[: frame + 1])
    component.reset()
    assert not np.array_equal(component.feed(loud), expected), (
        "the output does not depend on the audio"
    )


def snapshot_law(component: Any, samples: np.ndarray, cuts: Sequence[int]) -> None:
    """Check that a restored snapshot, taken after each of `cuts` samples, repeats the output."""
    other = np.random.default_rng(2).uniform(-1, 1, 5000).astype(samples.dtype)
    for cut in cuts:
        component.reset()
        component.feed(samples[:cut])
        state = component.snapshot()
        expected = component.feed(samples[cut:])
        for _ in range(2):
            component.feed(other)
            component.restore(state)
            np.testing.assert_array_equal(component.feed(samples[cut:]), expected)
        assert len(expected), "the law was tried on no output at all"


def reset_law(component: StreamingComponent, samples: np.ndarray) -> None:
    """Check that a reset component gives the output of a new one."""
    component.reset()
    expected = component.feed(samples)
    component.reset()
    component.feed(np.random.default_rng(3).uniform(-1, 1, 7777).astype(samples.dtype))
    component.reset()
    np.testing.assert_array_equal(component.feed(samples), expected)
