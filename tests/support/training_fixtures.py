"""Fixtures of the training tests: small motions and untrained autoencoders."""

from pathlib import Path

import numpy as np
import torch

from engine.audio import SAMPLE_RATE
from engine.config.model import PartVaeConfig, RootModelConfig
from engine.model.builders import build_part_vae, build_root_model
from engine.model.part_vae import PartVae
from engine.motion import rotation as rot
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import SMPLX_55, BodyPart
from training.composer.assemble import Body
from training.composer.compose import Take, save_take
from training.composer.plan import Stress
from training.data.clips import write_json
from training.module_io import save_module
from training.speech.speech import Phone, Speech, SpokenWord

CODES, CODE_DIM = 24, 8
_MOVING = ("left_shoulder", "right_elbow", "spine2", "left_knee", "left_index1", "pelvis", "jaw")


def waving(seed: int, frames: int = 40) -> Motion:
    """Random waving motion with root motion."""
    random = np.random.default_rng(seed)
    seconds = np.arange(frames) / 30
    rotations = rot.identity(frames, 55)
    for name in _MOVING:
        vector = np.zeros((frames, 3), np.float32)
        vector[:, 2] = 0.3 * np.sin(seconds * random.uniform(2, 6) + random.uniform(0, 6))
        rotations[:, SMPLX_55.index(name)] = rot.exp(vector)
    translation = np.zeros((frames, 3), np.float32)
    translation[:] = [random.uniform(-1, 1), 1.28, random.uniform(-1, 1)]
    translation[:, 0] += 0.2 * np.sin(seconds)
    contacts = np.tile(np.array([1, 0, 1, 0], np.float32), (frames, 1))
    face = (random.uniform(0, 1, 51) * np.sin(seconds * 5)[:, None] ** 2).astype(np.float32)
    return Motion(PoseFormat(), PoseChunk(0, rotations, translation, contacts, face))


def part_config(part: BodyPart, codes: int = CODES) -> PartVaeConfig:
    """Configuration of a tiny autoencoder of a part."""
    channels = part_layout(part, ARKIT_51.width).width
    return PartVaeConfig(channels, 12, CODE_DIM, codes, layers=2, causal=True)


def save_parts(folder: Path) -> dict[BodyPart, PartVae]:
    """Write random autoencoders and a root network, as the stages vq and root-motion do."""
    torch.manual_seed(0)
    parts = {}
    for part in BodyPart:
        vae = build_part_vae(part_config(part)).eval()
        vae.quantizer.embedding.weight.data.normal_(0, 0.3)
        save_module(folder / part, part_config(part), vae)
        parts[part] = vae.requires_grad_(False)
    travel = RootModelConfig(part_layout(BodyPart.LOWER, 0).width, 3, 12, 2, causal=True)
    save_module(folder / "global", travel, build_root_model(travel))
    return parts


def tone_take(split: str, seed: int, seconds: float = 2.0) -> Take:
    """Take with `hello` (0.5 to 1.0 s) and `tree` (to 1.4 s) as pure tones; seed 0: silence."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    loud = (at >= 0.5) & (at < 1.4) & (seed > 0)
    samples = (0.3 * loud * np.sin(2 * np.pi * (100 + 50 * seed) * at)).astype(np.float32)
    words = (
        SpokenWord("hello", 0.5, 1.0, 0.7, 1.0, True),
        SpokenWord("tree", 1.0, 1.4, 1.2, 1.4),
    )
    phones = (Phone("pau", 0, 0.5), Phone("aa", 0.5, 1.4), Phone("pau", 1.4, seconds))
    poses = waving(seed, int(seconds * 30)).poses
    body = Body(poses.rotations, poses.translation, poses.contacts)
    if not seed:
        return Take(Speech(samples, phones[:1], ()), (), body, poses.face, "silence", split)
    stresses = (Stress(0.7, 1.0, "hello"),)
    return Take(Speech(samples, phones, words), stresses, body, poses.face, "tone", split)


def save_corpus(folder: Path) -> None:
    """Write two training takes, one of them silent, and one test take."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in (("train_000", 1), ("train_001", 0), ("test_000", 2)):
        save_take(folder / f"{name}.npz", tone_take(name.split("_")[0], seed))
    write_json(folder / "corpus.json", {"fps": 30})
    write_json(folder / "vocabulary.json", ["hello"])
