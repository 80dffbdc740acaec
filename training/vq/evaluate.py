"""Stage `eval-vq`: reconstruction error of the VQ-VAEs. Writes OUT/floors.json.

Held-out clips are encoded, decoded from the codes of all parts with the root motion, and compared
joint by joint.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config.model import PartVaeConfig, RootModelConfig
from engine.generate.decoder import PoseDecoder
from engine.model.builders import build_root_model
from engine.model.part_vae import PartVae
from engine.motion import rotation as rot
from engine.motion.pose import Motion, PoseChunk
from engine.motion.skeleton import PART_JOINTS, SMPLX_55, BodyPart
from training.data.clips import write_json
from training.data.vectors import world_translation
from training.data.windows import load_folder, tensor_of
from training.module_io import load_config, load_weights
from training.vq.quantizer_training import code_use
from training.vq.root_motion import ZEROED
from training.vq.stage import face_width, load_parts

FloatArray = NDArray[np.float32]


def load_decoder(folder: Path, parts: dict[BodyPart, PartVae]) -> PoseDecoder:
    """Load the pose decoder with the trained parts and the root network in `folder`."""
    module = build_root_model(load_config(folder / "global", RootModelConfig))
    load_weights(folder / "global", module)
    channels = load_config(folder / BodyPart.FACE, PartVaeConfig).channels
    width = face_width(BodyPart.FACE, channels)
    return PoseDecoder(parts, module, face_width=width, masked_fields=ZEROED)


def encode(parts: dict[BodyPart, PartVae], motion: Motion) -> torch.Tensor:
    """Encode a motion to codes `[1, P, T]`."""
    with torch.no_grad():
        codes = [parts[p].nearest(parts[p].encode(tensor_of(p, motion)[None]))[0] for p in BodyPart]
    return torch.stack(codes)[None]


def decode(decoder: PoseDecoder, codes: torch.Tensor, like: Motion) -> Motion:
    """Decode codes `[1, P, T]` to a motion that starts where `like` starts."""
    decoded = decoder.decode(codes, codes.shape[-1])
    start = like.poses.translation[0, [0, 2]]
    fps = like.format.clock.frame_rate
    chunk = PoseChunk(
        0,
        decoded.rotations[0].numpy(),
        world_translation(decoded.root_motion[0].numpy(), fps, start),
        decoded.contacts[0].numpy(),
        decoded.face[0].numpy(),
    )
    return Motion(like.format, chunk)


def relative(motion: Motion, joint: str) -> FloatArray:
    """Joint positions `[T, J, 3]` in the coordinate frame of `joint`."""
    positions, world = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, motion.poses.rotations, motion.poses.translation
    )
    j = SMPLX_55.index(joint)
    offsets = positions - positions[:, j : j + 1]
    turn = np.broadcast_to(rot.inverse(world[:, j : j + 1]), world.shape)
    return np.asarray(rot.rotate(turn, offsets), np.float32)


def _distance(a: FloatArray, b: FloatArray, joints: list[int]) -> float:
    return float(np.linalg.norm(a[:, joints] - b[:, joints], axis=-1).mean() * 100)


def _mean_norm(x: FloatArray) -> float:
    return float(np.linalg.norm(x, axis=-1).mean())


def compare(decoded: Motion, true: Motion) -> dict[str, float]:
    """Errors in centimetres, jerk, foot speed in m/s, and face error."""
    a, b = decoded.world_positions(), true.world_positions()
    result = {"all": _distance(a, b, list(range(55))), "wrists": _distance(a, b, [20, 21])}
    result["root"] = _distance(a, b, [0])
    local = relative(decoded, "pelvis"), relative(true, "pelvis")
    for part in (BodyPart.UPPER, BodyPart.LOWER):
        result[part] = _distance(*local, list(PART_JOINTS[part]))
    left, right = list(range(25, 40)), list(range(40, 55))
    fingers = [
        _distance(relative(decoded, f"{side}_wrist"), relative(true, f"{side}_wrist"), joints)
        for side, joints in (("left", left), ("right", right))
    ]
    result[BodyPart.HANDS] = float(np.mean(fingers))
    result["jerk_made"] = _mean_norm(np.diff(a, n=3, axis=0))
    result["jerk_true"] = _mean_norm(np.diff(b, n=3, axis=0))
    feet = np.diff(a[:, [7, 8, 10, 11]][..., [0, 2]], axis=0)
    result["foot_speed"] = _mean_norm(feet) * 30
    result["foot_height"] = float(np.abs(a[:, [10, 11], 1] - b[:, [10, 11], 1]).mean() * 100)
    result["face"] = float(np.abs(decoded.poses.face - true.poses.face).mean())
    return result


def average(rows: list[dict[str, float]], frames: list[int]) -> dict[str, float]:
    """Means weighted by the lengths of the clips, and the ratio of the jerks."""
    means = {
        name: float(np.average([row[name] for row in rows], weights=frames)) for name in rows[0]
    }
    means["jerk_ratio"] = means["jerk_made"] / max(means["jerk_true"], 1e-9)
    return {name: round(value, 5) for name, value in means.items()}


def measure(parts: dict[BodyPart, PartVae], decoder: PoseDecoder, motions: list[Motion]) -> Any:
    """Errors over `motions`, and usage of each codebook."""
    codes = [encode(parts, motion) for motion in motions]
    rows = [compare(decode(decoder, c, m), m) for c, m in zip(codes, motions, strict=True)]
    every = torch.cat(codes, -1)[0]
    used = {p: code_use(every[i], parts[p].quantizer.sizes) for i, p in enumerate(BodyPart)}
    return {
        "clips": len(motions),
        "frames": int(every.shape[-1]),
        "cm": average(rows, [len(motion) for motion in motions]),
        "code_usage": {part: [round(u.used, 3) for u in uses] for part, uses in used.items()},
        "perplexity": {part: [round(u.perplexity, 1) for u in uses] for part, uses in used.items()},
    }


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Run the stage; config: `folders`, {name: [folder in DATA, split]}."""
    parts = load_parts(out)
    decoder = load_decoder(out, parts)
    sets = config.get(
        "folders", {"clips test": ["clips", "test"], "clips train": ["clips", "train"]}
    )
    report = {}
    for name, (folder, split) in sets.items():
        motions = [motion for motion, _ in load_folder(data / folder, split)]
        if motions:
            report[name] = measure(parts, decoder, motions)
            print(name, report[name], flush=True)
    write_json(out / "floors.json", report)
