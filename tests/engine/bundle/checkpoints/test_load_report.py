"""Console lines and errors of the report on a checkpoint's tensors."""

import pytest

from engine.bundle.checkpoints.load_report import LoadReport, joined
from engine.errors import BundleError


def test_lines_give_counts_and_some_names() -> None:
    report = LoadReport(
        matched=("a", "b"), leftovers=("x.0", "x.1", "y.0"), missing=tuple("abcdefg")
    )
    assert report.lines() == [
        "tensors matched: 2",
        "expected leftovers: 3 (x, y)",
        "missing: 7 (a, b, c, d, e, ...)",
        "misfitting: 0",
        "unexpected: 0",
    ]


def test_the_first_problem_of_several_files_is_the_error() -> None:
    good = LoadReport(matched=("a",), leftovers=("x",))
    bad = LoadReport(matched=("b",), missing=("c",), problem="tensor c is missing")
    worse = LoadReport(misfits=("d",), unexpected=("e",), problem="tensor d is wide")
    joined([good, good]).require()
    report = joined([good, bad, worse])
    assert report.matched == ("a", "b")
    with pytest.raises(BundleError, match=r"^tensor c is missing \(in all: 2 matched, 1 missing, "):
        report.require()
