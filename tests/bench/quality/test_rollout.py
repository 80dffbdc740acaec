"""Rollout of a tiny random model as live, and its numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.quality.rollout import (
    RolloutModel,
    RolloutSettings,
    evaluate,
    freeze,
    jaw_of,
    mouth_report,
    rest_codes,
)
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import PartVaeConfig
from engine.config.presets import live_config
from engine.model.builders import build_gesture_model, build_part_vae
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import BodyPart
from training.data.dataset import TakeData
from training.data.vectors import motion_vector
from training.module_io import save_module

JAW = ARKIT_51.coefficients.index("jawOpen")


def take(frames: int, seed: int = 0) -> TakeData:
    rng = np.random.default_rng(seed)
    face = np.zeros((frames, 51), np.float32)
    face[20:40, JAW] = rng.uniform(0.2, 0.8, len(face[20:40]))
    rotations = identity(frames, 55)
    rotations[:, 22] = exp(np.stack([0.25 * face[:, JAW], *np.zeros((2, frames))], -1))
    still = np.tile(np.array([0, 1.28, 0], np.float32), (frames, 1))
    motion = Motion(
        PoseFormat(), PoseChunk(0, rotations, still, np.ones((frames, 4), np.float32), face)
    )
    audio = rng.standard_normal((1, frames, DEFAULT_FEATURES.width)).astype(np.float16)
    words = np.zeros(frames, np.int64)
    return TakeData(
        f"t{seed}", "v", audio, words, motion, motion_vector(motion), np.array([0.8]), False
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RolloutModel:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("lab")
    for part in BodyPart:
        config = PartVaeConfig(part_layout(part, 51).width, 8, 6, 8, 1, causal=True)
        save_module(folder / part, config, build_part_vae(config))
    config = live_config(DEFAULT_FEATURES.width, 10, width=16, codes=8, code_dim=6)
    save_module(folder / "gesture", config, build_gesture_model(config))
    return RolloutModel(folder, folder / "gesture", take(60))


def test_a_rollout_is_as_long_as_its_audio_and_repeats(model: RolloutModel) -> None:
    audio = np.stack([take(24, s).audio[0] for s in (1, 2)]).astype(np.float32)
    first = model.roll(audio, None, RolloutSettings(hop=4, seed=8))
    again = model.roll(audio, None, RolloutSettings(hop=4, seed=8))
    assert [len(m) for m in first] == [24, 24]
    assert np.array_equal(first[0].poses.rotations, again[0].poses.rotations)
    assert first[0].poses.rotations.shape == (24, 55, 4)


def test_evaluation_has_all_numbers(model: RolloutModel) -> None:
    takes = [take(60, 1), take(44, 2)]
    numbers, motions = evaluate(model, takes, RolloutSettings(hop=4, seed=8))
    assert len(motions) == 2
    assert 0 < numbers["p_value"] <= 1
    assert {"mute_ratio", "jaw_r", "slowest_10s", "muted_speed"} <= set(numbers)


def test_the_truth_correlates_perfectly() -> None:
    takes = [take(60, 1), take(60, 2)]
    report = mouth_report([t.motion for t in takes], takes)
    assert report["jaw_r"] == pytest.approx(1.0)
    assert report["jaw_ratio"] == pytest.approx(1.0)
    assert report["jaw_silent_p95"] == 0.0
    assert jaw_of(takes[0].motion).max() > 0.2


def test_freeze_finds_the_stillest_ten_seconds() -> None:
    moving = np.ones(700)
    stuck = np.concatenate([np.ones(310), np.zeros(310)])
    assert freeze([moving]) == 1.0
    assert freeze([moving, stuck]) < 0.1


def test_rest_codes_are_the_most_used(model: RolloutModel) -> None:
    codes = rest_codes(take(60), model.parts)
    assert codes.shape == (4,)
