"""Results are written with commit and machine, and the page shows them."""

import json
import sys
from pathlib import Path

import pytest

from bench import record
from engine.errors import ConfigError


def test_a_result_has_everything_to_repeat_it(tmp_path: Path) -> None:
    path = record.save("latency", ["--seconds", "2"], {"runs": [{"p99": 1.5}]}, tmp_path)
    result = json.loads(path.read_text())
    assert path.name.startswith(result["date"])
    assert path.name.endswith("-latency.json")
    assert result["arguments"] == ["--seconds", "2"]
    assert {"processor", "cores", "python", "torch"} <= set(result["machine"])
    assert result["figures"] == {"runs": [{"p99": 1.5}]}
    page = record.page(tmp_path)
    assert "`emage-bench latency --seconds 2` on " in page
    assert "| runs[0].p99 | 1.5 |" in page


def test_the_last_line_of_output_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[object] = []
    monkeypatch.setattr(record, "save", lambda *given: saved.append(given) or tmp_path)

    def command() -> int:
        sys.stdout.write("a table\n")
        sys.stdout.write(json.dumps({"p99": 2}) + "\n")
        return 0

    assert record.record("latency", ["--hop", "1"], command) == 0
    assert saved == [("latency", ["--hop", "1"], {"p99": 2})]
    assert capsys.readouterr().out == 'a table\n{"p99": 2}\n'


def test_output_without_figures_is_refused() -> None:
    def command() -> int:
        sys.stdout.write("no figures\n")
        return 0

    with pytest.raises(ConfigError, match="--record expects a JSON object"):
        record.record("figures", [], command)


def test_a_failed_command_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "save", lambda *_: pytest.fail("recorded"))
    assert record.record("latency", [], lambda: 2) == 2
