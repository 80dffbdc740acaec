"""emage-bench hands over to the checkout's bench."""

import pytest

from exporters.commands import bench


def test_help_is_that_of_the_bench(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--help"])
    assert ended.value.code == 0
    assert "latency" in capsys.readouterr().out


def test_without_a_checkout_the_error_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    monkeypatch.setattr(bench.Path, "is_file", lambda _: False)
    assert bench.main([]) == 2
    assert "source checkout" in capsys.readouterr().err


def test_the_version_needs_no_checkout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    monkeypatch.setattr(bench.Path, "is_file", lambda _: False)
    with pytest.raises(SystemExit) as ended:
        bench.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("emage-bench ")
