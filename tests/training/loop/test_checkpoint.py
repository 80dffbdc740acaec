"""Checkpoints and loss logs."""

from dataclasses import replace

import pytest
import torch

from engine.errors import BundleError, ConfigError, ExportError
from tests.support.reference_model import write_pointer
from training.loop.checkpoint import (
    CHECKPOINT,
    LOG,
    Checkpoint,
    LossLog,
    differences,
    load_checkpoint,
    read_log,
    read_objective,
    save_checkpoint,
)

CONFIG = {"rate": 0.1, "parts": {"upper": {"codes": 8}}, "suffixes": ((1, 2), (3, 4)), "threads": 1}


def _checkpoint(size=3):
    net = torch.nn.Linear(size, size)
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    net(torch.ones(size)).sum().backward()
    optimizer.step()
    state = {f"model.{name}": value for name, value in net.state_dict().items()}
    return Checkpoint(7, 1.5, CONFIG, state, optimizer.state_dict())


def test_checkpoint_round_trip(tmp_path):
    saved = _checkpoint()
    save_checkpoint(tmp_path, saved)
    found = load_checkpoint(tmp_path, CONFIG)
    assert (found.step, found.spent_s) == (7, 1.5)
    assert found.config == {**CONFIG, "suffixes": [[1, 2], [3, 4]]}
    assert torch.equal(found.objective["model.weight"], saved.objective["model.weight"])
    moment = found.optimizer["state"][0]["exp_avg"]
    assert torch.equal(moment, saved.optimizer["state"][0]["exp_avg"])
    assert set(read_objective(tmp_path, "model")) == {"weight", "bias"}
    assert list(tmp_path.iterdir()) == [tmp_path / CHECKPOINT]


def test_missing_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path, CONFIG) is None
    with pytest.raises(ConfigError, match="which is missing"):
        read_objective(tmp_path, "model")


def test_other_settings_are_refused_by_name(tmp_path):
    save_checkpoint(tmp_path, _checkpoint())
    other = {**CONFIG, "rate": 0.2, "parts": {"upper": {"codes": 9}}}
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(tmp_path, other)
    text = str(caught.value)
    assert "parts.upper.codes is 9, was 8; rate is 0.2, was 0.1" in text
    assert "Restore these settings" in text
    assert f"delete {tmp_path / CHECKPOINT}" in text


def test_settings_of_the_computation_may_change(tmp_path):
    free = {"threads": 4, "report_every": 3, "max_minutes": 5, "loop": {"device": "cuda"}}
    assert differences(CONFIG, {**CONFIG, **free}) == []
    assert differences(CONFIG, {**CONFIG, "suffixes": [[1, 2], [3, 4]]}) == []
    assert differences({"a": 1}, {"b": None}) == ["a is unset, was 1", "b is None, was unset"]


@pytest.mark.parametrize("damage", ["cut", "other", "foreign"])
def test_damaged_and_foreign_files_are_refused(tmp_path, damage):
    path = tmp_path / CHECKPOINT
    save_checkpoint(tmp_path, _checkpoint())
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "other":
        torch.save({"done": 3}, path)
    else:
        torch.save({"format": 2, "step": torch.nn.Linear}, path)  # a class: code, not data
    with pytest.raises(ConfigError, match=f"delete .*{CHECKPOINT} to start again"):
        load_checkpoint(tmp_path, CONFIG)


@pytest.fixture
def small_disk():
    """Limit the files of this process to 200 kB."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.posix
def test_full_disk_keeps_the_previous_checkpoint(tmp_path, small_disk):
    save_checkpoint(tmp_path, _checkpoint())
    with pytest.raises(ExportError, match="is intact: make room"):
        save_checkpoint(tmp_path, replace(_checkpoint(300), step=8))
    assert load_checkpoint(tmp_path, CONFIG).step == 7
    assert list(tmp_path.iterdir()) == [tmp_path / CHECKPOINT]


def test_full_disk_stops_the_log(tmp_path, small_disk):
    log = LossLog(tmp_path, 0)
    with pytest.raises(ExportError, match="make room"):
        log.write(0, {"l" * 300_000: 0.5})
    log.close()


def test_resumed_log_drops_later_steps(tmp_path):
    log = LossLog(tmp_path, 0)
    for step in range(5):
        log.write(step, {"loss": float(step)})
    log.close()
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 5, "lo')
    again = LossLog(tmp_path, 3)
    again.write(3, {"loss": 30.0})
    again.close()
    rows = read_log(tmp_path)
    assert [(row["step"], row["loss"]) for row in rows] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]


def test_incomplete_line_is_ignored(tmp_path):
    (tmp_path / LOG).write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "loss": 2.0}')
    assert [row["step"] for row in read_log(tmp_path)] == [0]


def test_git_lfs_pointer_is_named(tmp_path):
    write_pointer(tmp_path / CHECKPOINT)
    with pytest.raises(BundleError, match=r"checkpoint\.pt is a pointer of Git LFS"):
        load_checkpoint(tmp_path, CONFIG)
