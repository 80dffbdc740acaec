"""Several processes give the curve of one, report errors, and resume each other's runs."""

import sys

import pytest

from engine.errors import ConfigError, GestureError
from tests.support.training_fixtures import save_corpus, save_parts, waving
from training.data.clips import save_clip
from training.loop import launcher
from training.loop.checkpoint import read_log
from training.loop.distributed import Distributed
from training.loop.launcher import Work
from training.loop.loop import Loop

STEPS = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    save_parts(folder / "vq")
    save_corpus(folder / "corpus")
    (folder / "clips").mkdir()
    for seed in range(3):
        save_clip(folder / "clips" / f"{seed}.npz", waving(seed), {"split": "train"})
    return folder


@pytest.fixture
def works(data, tmp_path):
    loop = {"device": "cpu", "checkpoint_s": 0.0}
    part = {"width": 16, "codes": 32, "code_dim": 8, "steps": STEPS}
    vq = {
        "sources": [{"folder": "clips"}], "window": 16, "stretch": 8, "batch": 4, "loop": loop,
        "workers": 1, "parts": {"upper": part}, "warm_up": 0.5,
    }  # fmt: skip
    gesture = {"window": 32, "batch": 4, "width": 16, "steps": STEPS, "variants": 1, "loop": loop}
    return {
        "vq": Work("training.vq.stage", vq, data, tmp_path / "vq"),
        "gesture": Work("training.gesture.stage", gesture, data, tmp_path / "gesture"),
    }


def _curve(work, start, folder=""):
    work.out.mkdir(parents=True, exist_ok=True)
    start(work)
    rows = read_log(work.out / folder)
    assert [row["step"] for row in rows] == list(range(STEPS))
    return [row["loss"] for row in rows]


def two(work):
    launcher.run_processes(work, 2)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(works, capfd):
    work = works["vq"]
    one = _curve(work._replace(out=work.out / "one"), launcher.run_single, "upper")
    capfd.readouterr()
    assert _curve(work, two, "upper") == pytest.approx(one, rel=1e-4)
    shown = capfd.readouterr()
    assert shown.out.count(f"{STEPS}/{STEPS}") == 1
    assert "unused parameters" not in shown.err


@pytest.mark.slow
def test_two_processes_resume_a_run_of_one(works, monkeypatch):
    """Frame weights are normalised over the whole batch, not per shard."""
    work = works["gesture"]
    one = _curve(work._replace(out=work.out / "one"), launcher.run_single)
    step = Loop.step

    def broken(loop):
        if loop.done == STEPS // 2:
            raise InterruptedError
        step(loop)

    monkeypatch.setattr(Loop, "step", broken)
    with pytest.raises(InterruptedError):
        _curve(work, launcher.run_single)
    assert _curve(work, two) == pytest.approx(one, rel=1e-4)


@pytest.mark.slow
def test_errors_are_reported_without_traceback(works):
    work = works["gesture"]
    work.out.mkdir()
    with pytest.raises(GestureError, match="2 processes can share, got 3 windows") as caught:
        two(work._replace(config={**work.config, "batch": 3}))
    assert "Traceback" not in str(caught.value)


def test_device_is_read_from_the_configuration(works):
    assert works["vq"].device == "cpu"
    assert works["vq"]._replace(config={}).device == "auto"
    wrong = works["vq"]._replace(config={"loop": {"device": "tpu"}})
    with pytest.raises(ConfigError, match="tpu"):
        launcher.run_single(wrong)


def test_only_the_main_process_prints(capsys):
    for rank in range(3):
        launcher.only_main_prints(
            lambda distributed: sys.stdout.write(f"{distributed.rank}"), Distributed(rank, 3)
        )
    assert capsys.readouterr().out == "0"


@pytest.mark.gpu
@pytest.mark.parametrize(("stage", "folder"), [("vq", "upper"), ("gesture", "")])
def test_gpu_gives_the_curve_of_the_cpu(works, stage, folder):
    work = works[stage]
    curves = []
    for device in ("cpu", "cuda"):
        loop = {"device": device}
        own = work._replace(config={**work.config, "loop": loop}, out=work.out / device)
        curves.append(_curve(own, launcher.run_single, folder))
    assert curves[1][:5] == pytest.approx(curves[0][:5], rel=1e-2)
    assert curves[1][-1] == pytest.approx(curves[0][-1], rel=0.2)
