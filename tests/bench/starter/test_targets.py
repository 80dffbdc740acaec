"""Bounds, verdicts and the table."""

from bench.starter.targets import TARGETS, Target, table, verdicts

OWN = (Target("a", least=2.0), Target("b", most=0.1), Target("c", least=1.0, most=2.0))


def test_bounds_are_inclusive_and_missing_numbers_have_no_verdict() -> None:
    assert verdicts({"a": 2.0, "b": 0.2}, OWN) == {"a": True, "b": False, "c": None}
    assert Target("c", 1.0, 2.0).holds({"c": 2.1}) is False


def test_nan_misses_its_target() -> None:
    assert Target("a", least=2.0).holds({"a": float("nan")}) is False


def test_the_first_column_is_compared_with_the_targets() -> None:
    text = table({"network": {"a": 1.0, "b": 0.05}, "composer": {"a": 3.0, "d": 1234.0}}, OWN)
    assert "NOT MET" in next(line for line in text.splitlines() if line.startswith("a "))
    assert "1234.0" in text
    assert text.endswith("1 of 2 measured targets met (3 in all)")


def test_every_target_has_a_bound() -> None:
    assert all(t.least is not None or t.most is not None for t in TARGETS)
    assert len({t.name for t in TARGETS}) == len(TARGETS)
