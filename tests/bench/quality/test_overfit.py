import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bench.quality import overfit
from bench.quality.overfit import SEEDS, overfit_report, reconstruction_cm, rendered
from engine.bundle.io import Bundle, save_bundle
from engine.motion.pose import Motion
from engine.motion.rotation import exp, multiply
from engine.motion.skeleton import BodyPart
from tests.support.audio import babble
from tests.support.takes import take
from tests.support.tiny_bundle import tiny_bundle
from training.data.takes import TakeFile, write_take
from training.module_io import save_module


@pytest.fixture
def bundle() -> Bundle:
    return tiny_bundle()


@pytest.fixture
def vq(bundle: Bundle, tmp_path: Path) -> Path:
    for part in BodyPart:
        save_module(tmp_path / part, bundle.config.parts[part], bundle.parts[part])
    return tmp_path


def spoken() -> TakeFile:
    nothing = np.zeros(0, np.float32)
    return TakeFile(take(False, 1).motion, babble(3.2), (), nothing, nothing, "v", "train")


def test_reconstruction_error_is_of_decoded_poses(bundle: Bundle, vq: Path) -> None:
    """Large for random weights; differences of poses do not depend on the position."""
    error = reconstruction_cm(bundle, vq, spoken().motion)
    assert error > 5, "random weights"
    motion = spoken().motion
    same = overfit._difference_at_origin(motion.poses.rotations, motion)
    assert np.abs(same).max() == 0
    turn = exp(np.array([0.0, 0.0, 0.1], np.float32))
    moved = replace(motion.poses, translation=motion.poses.translation + 1)
    turned = multiply(turn, motion.poses.rotations)
    apart = overfit._difference_at_origin(turned, Motion(motion.format, moved))
    assert np.abs(apart[:, 0]).max() == 0, "independent of the position"
    assert np.abs(apart).max() > 0.05


def test_the_rendering_has_the_length_of_the_speech(bundle: Bundle) -> None:
    config = replace(bundle.config, mute_unvoiced=True)
    poses = rendered(replace(bundle, config=config), spoken())
    assert len(poses) == 96
    assert SEEDS == 4


def test_the_command_line(bundle: Bundle, vq: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    save_bundle(bundle, tmp_path / "bundle", half=False)
    path = tmp_path / "take.npz"
    write_take(path, spoken())
    command = ["overfit", "--model", str(tmp_path / "bundle"), "--vq", str(vq), "--take", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    overfit.main()
    report = json.loads(capsys.readouterr().out)
    assert report == asdict(overfit_report(bundle, vq, spoken()))
