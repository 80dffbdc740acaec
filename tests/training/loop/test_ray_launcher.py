"""Ray workers give the curve of one process.

Most tests are skipped without Ray (`pip install "ray[train]"`), which is too large for the test
environment.
"""

import sys

import pytest

from engine.errors import ConfigError, GestureError
from tests.support.training_fixtures import save_corpus, save_parts
from training.loop import launcher, ray_launcher
from training.loop.checkpoint import read_log
from training.loop.launcher import Work

STEPS = 20


@pytest.fixture
def work(tmp_path):
    save_parts(tmp_path / "vq")
    save_corpus(tmp_path / "corpus")
    config = {"window": 32, "batch": 4, "width": 16, "steps": STEPS, "variants": 1}
    return Work(
        "training.gesture.stage",
        config | {"loop": {"device": "cpu"}},
        tmp_path,
        tmp_path / "out",
    )


def _curve(work):
    rows = read_log(work.out)
    assert [row["step"] for row in rows] == list(range(STEPS))
    return [row["loss"] for row in rows]


@pytest.mark.cluster
@pytest.mark.slow
def test_two_workers_give_the_curve_of_one_process(work):
    one = work._replace(out=work.out / "one")
    one.out.mkdir(parents=True)
    launcher.run_single(one)
    ray_launcher.run_ray(work, 2, "local")
    assert _curve(work) == pytest.approx(_curve(one), rel=1e-4)
    assert not (work.out / ".ray").exists()


@pytest.mark.cluster
@pytest.mark.slow
def test_errors_are_reported_without_traceback(work):
    wrong = work._replace(config={**work.config, "batch": 3})
    wrong.out.mkdir()
    with pytest.raises(GestureError, match=r"^expected a batch that 2 processes can share"):
        ray_launcher.run_ray(wrong, 2, "local")


@pytest.mark.cluster
def test_missing_cluster_is_named(work):
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127.0.0.1:1: .*ray start --head"):
        ray_launcher.run_ray(work, 2, "127.0.0.1:1")


def test_missing_ray_is_named(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"emage-live\[cluster\]"):
        ray_launcher.run_ray(work, 2, None)
