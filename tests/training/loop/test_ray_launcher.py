"""Workers of Ray train as one process does. Ray is large: it is no part of the test environment,
and these tests are skipped without it (`pip install "ray[train]"`).
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
def test_two_workers_learn_what_one_process_does(work):
    one = work._replace(out=work.out / "one")
    one.out.mkdir(parents=True)
    launcher.run_single(one)
    ray_launcher.run_ray(work, 2, "local")
    assert _curve(work) == pytest.approx(_curve(one), rel=1e-4)
    assert not (work.out / ".ray").exists()


@pytest.mark.cluster
@pytest.mark.slow
def test_a_mistake_is_told_in_its_own_words(work):
    wrong = work._replace(config={**work.config, "batch": 3})
    wrong.out.mkdir()
    with pytest.raises(GestureError, match=r"^expected a batch that 2 processes can share"):
        ray_launcher.run_ray(wrong, 2, "local")


@pytest.mark.cluster
def test_a_cluster_that_is_not_there_is_named(work):
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127.0.0.1:1: .*ray start --head"):
        ray_launcher.run_ray(work, 2, "127.0.0.1:1")


def test_without_ray_it_says_what_to_install(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"emage-live\[cluster\]"):
        ray_launcher.run_ray(work, 2, None)
