import numpy as np
import pytest

from bench.metrics.codes import perplexity, usage


def test_usage_is_a_share():
    assert usage(np.array([3, 3, 7]), 8) == 0.25
    assert usage(np.arange(8), 8) == 1.0


def test_perplexity_counts_even_use():
    assert perplexity(np.array([1, 1, 1])) == pytest.approx(1.0)
    assert perplexity(np.arange(6)) == pytest.approx(6.0)
    # Shares 1/2, 1/4, 1/4: entropy 1.5 log 2.
    assert perplexity(np.array([0, 0, 1, 2])) == pytest.approx(2**1.5)
