"""Tiny encoded takes and part autoencoders for tests of gesture training."""

import numpy as np
import pytest
import torch

from engine.config.features import DEFAULT_FEATURES
from engine.config.model import PartVaeConfig
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp
from engine.motion.skeleton import BodyPart
from training.data.dataset import GestureWindows, TakeData
from training.data.vectors import motion_vector

FRAMES = 96


def take(silent: bool, seed: int) -> TakeData:
    rng = np.random.default_rng(seed)
    turn = 0.3 * np.sin(np.arange(FRAMES) / 5)[:, None, None] * rng.standard_normal((1, 55, 3))
    poses = PoseChunk(
        0,
        exp(turn.astype(np.float32)),
        np.tile(np.array([0, 1.28, 0], np.float32), (FRAMES, 1)),
        np.ones((FRAMES, 4), np.float32),
        np.full((FRAMES, 51), 0.1 * seed, np.float32),
    )
    motion = Motion(PoseFormat(), poses)
    audio = rng.standard_normal((2, FRAMES, DEFAULT_FEATURES.width)).astype(np.float16)
    audio[:] = -1 if silent else audio
    words = np.full(FRAMES, 0 if silent else 5, np.int64)
    vectors = motion_vector(motion)
    return TakeData("t", "v", audio, words, motion, vectors, np.array([1.0]), silent)


@pytest.fixture(scope="module")
def parts() -> dict[BodyPart, PartVae]:
    torch.manual_seed(0)
    vaes = {}
    for part in BodyPart:
        channels = part_layout(part, ARKIT_51.width).width
        vae = build_part_vae(PartVaeConfig(channels, 16, 8, 12, 1, causal=True))
        torch.nn.init.normal_(vae.quantizer.embedding.weight)
        vaes[part] = vae.eval().requires_grad_(False)
    return vaes


@pytest.fixture
def windows(parts: dict[BodyPart, PartVae]) -> GestureWindows:
    return GestureWindows([take(False, 1), take(True, 2), take(False, 3)], parts, 32)
