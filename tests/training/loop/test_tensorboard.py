import sys

import pytest

from engine.errors import ConfigError
from training.loop.tensorboard import Board


@pytest.mark.tensorboard
def test_curves_continue_after_an_interrupted_run(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator as accumulator

    for first, steps in ((0, (1, 2, 3)), (2, (2, 3, 4))):
        board = Board(tmp_path, first)
        for step in steps:
            board.add(step, {"loss": step + 0.5})
        board.close()
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [
        (1, 1.5), (2, 2.5), (3, 3.5), (4, 4.5)
    ]  # fmt: skip


def test_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"emage-live\[train\]"):
        Board(tmp_path)
