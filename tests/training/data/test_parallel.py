import os

import pytest

from training.data.parallel import MIN_JOBS, in_order


def test_few_jobs_run_in_this_process():
    here = list(in_order(lambda job: (job, os.getpid()), range(3), 8))
    assert here == [(job, os.getpid()) for job in range(3)]
    assert list(in_order(abs, [], 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order(workers):
    jobs = [-job for job in range(MIN_JOBS + 3)]
    assert list(in_order(abs, jobs, workers)) == list(range(MIN_JOBS + 3))


def test_errors_are_raised():
    with pytest.raises(TypeError):
        list(in_order(abs, [None], 1))
