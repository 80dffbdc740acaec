"""Training loop on a tiny network: reproducible steps, resuming, reports."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from engine.errors import ConfigError
from training.loop import loop as loop_module
from training.loop.checkpoint import LOG, read_log
from training.loop.distributed import Distributed
from training.loop.loop import (
    Loop,
    LoopSettings,
    LossTerms,
    Precision,
    RunConfig,
    TrainingTask,
    autocast,
    exit_without_parent,
    generator_at,
    seed_of,
)
from training.loop.lr_schedule import LrSchedule

RUN = RunConfig(12, 0.05, 3, LrSchedule(warmup_steps=3), report_every=5)
SETTINGS = LoopSettings(device="cpu")


class Objective(nn.Module):
    """Autoencoder with dropout; raises InterruptedError at step `last`."""

    def __init__(self, precision=Precision.FLOAT32, last=99):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Linear(16, 4))
        self.cast = replace(SETTINGS, precision=precision)
        self.last = last
        self.inner = None

    def forward(self, x, step, draws):
        if step == self.last:
            raise InterruptedError
        noise = torch.randn(4, generator=draws)
        with autocast(self.cast, x.device):
            made = self.net(x + 0.01 * noise)
        self.inner = made.dtype
        error = (made.float() - x).square().mean()
        return LossTerms(error, {"error": error})


def _task(objective, config=None, scale=1.0):
    return TrainingTask(
        "tiny",
        config or {"rate": 0.05},
        objective,
        torch.optim.AdamW(objective.parameters(), 0.05),
        lambda draws, step: scale * torch.randn(8, 4, generator=draws),
        lambda: None,
        (objective.net,),
    )


def _train(folder, objective, run_config=RUN, settings=SETTINGS, **task):
    loop = Loop(_task(objective, **task), run_config, settings, Distributed(), folder)
    loop.run()
    return loop


def test_interrupted_run_resumes_with_the_same_losses(tmp_path):
    _train(tmp_path / "whole", Objective())
    often = replace(SETTINGS, checkpoint_s=0.0)
    for last in (4, 9):
        with pytest.raises(InterruptedError):
            _train(tmp_path / "parts", Objective(last=last), settings=often)
        # Losses logged after the last checkpoint, and an incomplete line.
        with (tmp_path / "parts" / LOG).open("a") as file:
            file.write(json.dumps({"step": last, "loss": 5.0}) + '\n{"step"')
    objective = Objective()
    loop = _train(tmp_path / "parts", objective, settings=often)
    whole, parts = (read_log(tmp_path / name) for name in ("whole", "parts"))
    assert [row["step"] for row in parts] == list(range(12))
    assert parts == whole
    assert loop.done == 12


def test_loss_decreases_and_is_reported(tmp_path, capsys):
    _train(tmp_path, Objective(), replace(RUN, steps=60, report_every=20))
    rows = read_log(tmp_path)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[0]["rate"] == pytest.approx(0.05 / 3, rel=1e-3)
    lines = [each for each in capsys.readouterr().out.splitlines() if " left" in each]
    assert [each.split(" loss ")[0] for each in lines] == ["tiny 20/60", "tiny 40/60", "tiny 60/60"]


def test_gradient_norm_is_logged_before_clipping(tmp_path):
    def moved(max_grad_norm):
        objective = Objective()
        task = _task(objective)
        task = replace(task, optimizer=torch.optim.SGD(objective.parameters(), 1.0))
        before = [p.detach().clone() for p in objective.parameters()]
        run_config = RunConfig(1, 1.0, 3, LrSchedule(warmup_steps=0), max_grad_norm)
        Loop(task, run_config, SETTINGS, Distributed(), tmp_path / str(max_grad_norm)).run()
        steps = [p.detach() - b for p, b in zip(objective.parameters(), before, strict=True)]
        return float(torch.cat([s.flatten() for s in steps]).norm())

    norm = moved(1e9)
    assert read_log(tmp_path / str(1e9))[0]["norm"] == pytest.approx(norm, rel=1e-4)
    assert moved(norm / 2) == pytest.approx(norm / 2, rel=1e-3)


def test_finished_run_is_not_changed(tmp_path):
    first = Objective()
    _train(tmp_path, first)
    curve = read_log(tmp_path)
    second = Objective()
    _train(tmp_path, second)
    assert read_log(tmp_path) == curve
    assert torch.equal(first.net[0].weight, second.net[0].weight)


def test_time_limit_stops_and_the_run_can_be_resumed(tmp_path):
    _train(tmp_path / "whole", Objective())
    short = replace(RUN, max_minutes=0.0)
    assert _train(tmp_path / "parts", Objective(), short).done == 0
    _train(tmp_path / "parts", Objective())
    assert read_log(tmp_path / "parts") == read_log(tmp_path / "whole")


def test_other_settings_are_not_resumed(tmp_path):
    _train(tmp_path, Objective())
    with pytest.raises(ConfigError, match=r"rate is 0\.1, was 0\.05"):
        _train(tmp_path, Objective(), config={"rate": 0.1})


def test_loss_that_is_not_finite_keeps_the_checkpoint(tmp_path):
    _train(tmp_path, Objective(), replace(RUN, steps=6))
    with pytest.raises(
        ConfigError, match=r"tiny: at step 6 the loss is (nan|inf).*lower learning_rate"
    ):
        _train(tmp_path, Objective(), scale=1e30)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


def test_bfloat16_is_used_for_activations_only(tmp_path):
    plain, mixed = Objective(), Objective(Precision.BFLOAT16)
    _train(tmp_path / "plain", plain)
    _train(tmp_path / "mixed", mixed)
    assert (plain.inner, mixed.inner) == (torch.float32, torch.bfloat16)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    losses = [[row["loss"] for row in read_log(tmp_path / name)] for name in ("plain", "mixed")]
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_networks_are_compiled_if_set(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    objective = Objective()
    _train(tmp_path / "a", objective)
    assert compiled == []
    _train(tmp_path / "b", objective, settings=replace(SETTINGS, compile=True))
    assert compiled == [objective.net]


def test_steps_have_independent_draws():
    draws = [torch.randn(64, generator=generator_at(seed, step)) for seed, step in
             ((1, 0), (1, 1), (2, 0))]  # fmt: skip
    assert torch.equal(draws[0], torch.randn(64, generator=generator_at(1, 0)))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(float(torch.corrcoef(torch.stack([draws[a], draws[b]]))[0, 1])) < 0.4
    assert seed_of(1, 0, 0) != seed_of(1, 0, 1)


def test_orphaned_process_exits(monkeypatch):
    class Parent:
        alive = True

        def is_alive(self):
            return self.alive

    codes = []
    monkeypatch.setattr(loop_module.os, "_exit", codes.append)
    monkeypatch.setattr(loop_module.multiprocessing, "parent_process", lambda: None)
    exit_without_parent()
    parent = Parent()
    monkeypatch.setattr(loop_module.multiprocessing, "parent_process", lambda: parent)
    exit_without_parent()
    assert codes == []
    parent.alive = False
    exit_without_parent()
    assert codes == [1]
