import pytest

from training.loop.checkpoint import LossLog, read_log
from training.loop.progress import Progress, duration, line


def test_line_has_the_means_since_the_last_report(tmp_path, capsys):
    progress = Progress("upper", 10, 2, LossLog(tmp_path, 2))
    progress.add(2, {"loss": 1.0})
    progress.add(3, {"loss": 3.0, "late": 5.0})
    progress.show(4)
    progress.add(4, {"loss": 7.0})
    progress.show(5, max_s=0.0)
    progress.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("upper 4/10 loss 2 late 5 | ")
    assert second.startswith("upper 5/10 loss 7 | ")
    assert second.endswith(" 0 s left")
    assert [row["step"] for row in read_log(tmp_path)] == [2, 3, 4]


def test_other_processes_do_not_report(capsys):
    progress = Progress("upper", 10, 0)
    progress.add(0, {"loss": 1.0})
    progress.show(1)
    progress.close()
    assert capsys.readouterr().out == ""


def test_line_format():
    shown = line("upper", 200, 5000, {"loss": 0.31234567, "rate": 1e-5}, 0.0414, 200.0)
    assert shown == "upper 200/5000 loss 0.3123 rate 1e-05 | 41 ms a step, 3 min left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
