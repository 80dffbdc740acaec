"""The laws of streaming, written once, for anything that is fed samples and gives arrays.

any split         however the sound is cut into blocks, the output has the same bits
no look-ahead     what comes after the end of a frame cannot change it
snapshot          snapshot, step, restore, step gives the same
reset             after a reset nothing of the past is left
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np


class Piece(Protocol):
    """A streaming piece; `snapshot` and `restore` only where `snapshot_law` is called."""

    def feed(self, samples: Any) -> Any: ...

    def reset(self) -> None: ...


def splits(total: int, seed: int = 0) -> Iterator[list[int]]:
    """Ways to cut `total` samples: at once, in steps, at random with empty blocks, one by one."""
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


def feed_in(piece: Piece, samples: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Feed blocks of these sizes and join what comes out."""
    ends = np.cumsum(sizes)
    outputs = [piece.feed(samples[e - s : e]) for s, e in zip(sizes, ends, strict=True)]
    return np.concatenate(outputs)


def split_law(piece: Piece, samples: np.ndarray) -> np.ndarray:
    """Any split gives the same bits; returns the output."""
    results = []
    for sizes in splits(len(samples)):
        piece.reset()
        results.append(feed_in(piece, samples, sizes))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert len(results[0]), "the law was tried on no output at all"
    return results[0]


def look_ahead_law(
    piece: Piece, samples: np.ndarray, end_of: Callable[[int], int], frames: Sequence[int]
) -> None:
    """Output row k depends on samples before `end_of(k)` only, and a row does depend on sound."""
    piece.reset()
    expected = piece.feed(samples)
    loud = np.random.default_rng(1).uniform(-1, 1, len(samples)).astype(samples.dtype)
    for frame in frames:
        changed = np.concatenate([samples[: end_of(frame)], loud[end_of(frame) :]])
        piece.reset()
        result = piece.feed(changed)
        np.testing.assert_array_equal(result[: frame + 1], expected[: frame + 1])
    piece.reset()
    assert not np.array_equal(piece.feed(loud), expected), "the output ignores the sound"


def snapshot_law(piece: Any, samples: np.ndarray, cuts: Sequence[int]) -> None:
    """Restoring a snapshot taken after each of `cuts` samples, then stepping, gives the same."""
    other = np.random.default_rng(2).uniform(-1, 1, 5000).astype(samples.dtype)
    for cut in cuts:
        piece.reset()
        piece.feed(samples[:cut])
        state = piece.snapshot()
        expected = piece.feed(samples[cut:])
        for _ in range(2):
            piece.feed(other)
            piece.restore(state)
            np.testing.assert_array_equal(piece.feed(samples[cut:]), expected)
        assert len(expected), "the law was tried on no output at all"


def reset_law(piece: Piece, samples: np.ndarray) -> None:
    """A piece that heard something else and was reset is as good as new."""
    piece.reset()
    expected = piece.feed(samples)
    piece.reset()
    piece.feed(np.random.default_rng(3).uniform(-1, 1, 7777).astype(samples.dtype))
    piece.reset()
    np.testing.assert_array_equal(piece.feed(samples), expected)
