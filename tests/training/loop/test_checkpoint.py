"""Checkpoints and logs: whole or not at all, refused where they do not belong."""

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


def test_what_is_saved_comes_back(tmp_path):
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


def test_nothing_there_is_a_beginning(tmp_path):
    assert load_checkpoint(tmp_path, CONFIG) is None
    with pytest.raises(ConfigError, match="which is missing"):
        read_objective(tmp_path, "model")


def test_another_configuration_is_refused_with_what_differs(tmp_path):
    save_checkpoint(tmp_path, _checkpoint())
    other = {**CONFIG, "rate": 0.2, "parts": {"upper": {"codes": 9}}}
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(tmp_path, other)
    text = str(caught.value)
    assert "parts.upper.codes is 9, was 8; rate is 0.2, was 0.1" in text
    assert "Set these back" in text
    assert f"delete {tmp_path / CHECKPOINT}" in text


def test_how_it_is_computed_may_change(tmp_path):
    free = {"threads": 4, "report_every": 3, "max_minutes": 5, "loop": {"device": "cuda"}}
    assert differences(CONFIG, {**CONFIG, **free}) == []
    assert differences(CONFIG, {**CONFIG, "suffixes": [[1, 2], [3, 4]]}) == []
    assert differences({"a": 1}, {"b": None}) == ["a is unset, was 1", "b is None, was unset"]


@pytest.mark.parametrize("damage", ["cut", "other", "foreign"])
def test_files_that_are_no_checkpoints_are_refused(tmp_path, damage):
    path = tmp_path / CHECKPOINT
    save_checkpoint(tmp_path, _checkpoint())
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "other":
        torch.save({"done": 3}, path)
    else:
        torch.save({"format": 2, "step": torch.nn.Linear}, path)  # a class: code, not data
    with pytest.raises(ConfigError, match=f"delete .*{CHECKPOINT} to begin anew"):
        load_checkpoint(tmp_path, CONFIG)


@pytest.fixture
def small_disk():
    """No file of this process may grow beyond 200 kB meanwhile."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.posix
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, small_disk):
    save_checkpoint(tmp_path, _checkpoint())
    with pytest.raises(ExportError, match="is whole: make room"):
        save_checkpoint(tmp_path, replace(_checkpoint(300), step=8))
    assert load_checkpoint(tmp_path, CONFIG).step == 7
    assert list(tmp_path.iterdir()) == [tmp_path / CHECKPOINT]


def test_a_full_disk_stops_the_log_too(tmp_path, small_disk):
    log = LossLog(tmp_path, 0)
    with pytest.raises(ExportError, match="make room"):
        log.write(0, {"l" * 300_000: 0.5})
    log.close()


def test_a_log_goes_on_without_steps_that_come_again(tmp_path):
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


def test_a_torn_line_is_no_step(tmp_path):
    (tmp_path / LOG).write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "loss": 2.0}')
    assert [row["step"] for row in read_log(tmp_path)] == [0]


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    write_pointer(tmp_path / CHECKPOINT)
    with pytest.raises(BundleError, match=r"checkpoint\.pt is a pointer of Git LFS"):
        load_checkpoint(tmp_path, CONFIG)
