"""Reads `emage-audio`, the checkpoints of 2025 (layout A).

The layout is `config.json`, `model.safetensors` and `emage_vq/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.bundle.checkpoints import build_bundle
from engine.bundle.checkpoints.key_map import AUDIO_2025, AutoencoderNames
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.checkpoints.load_tensors import Network
from engine.bundle.checkpoints.safe_read import read_json
from engine.bundle.config import BundleConfig
from engine.bundle.io import Bundle, read_safetensors
from engine.config.model import FrontEnd, PartVaeConfig, RootModelConfig
from engine.config.presets import published_audio_config
from engine.config.serialize import from_mapping
from engine.errors import BundleError, ConfigError
from engine.generate.sampling import CodeSelection
from engine.generate.schedule import published_audio_schedule
from engine.generate.state import SeedRoot
from engine.motion.skeleton import BodyPart

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
AUTOENCODERS: Final = "emage_vq"
_FOLDERS: Final = {
    **{build_bundle.part_key(part): str(part) for part in BodyPart},
    build_bundle.ROOT: "global",
}
FILES: Final = f"{CONFIG} and {WEIGHTS}, and the same two in each of " + ", ".join(
    f"{AUTOENCODERS}/{folder}" for folder in _FOLDERS.values()
)
_RATES: Final = {"audio_sr": 16000, "pose_fps": 30, "pose_dims": 330}


@dataclass(frozen=True)
class _Sizes:
    """Keys of `config.json` that are used; c?: above 0, the part's code is the likeliest class."""

    hidden_size: int
    audio_f: int
    motion_f: int
    vae_codebook_size: int
    speaker_dims: int
    pose_length: int
    seed_frames: int
    cf: int
    cu: int
    ch: int
    cl: int


@dataclass(frozen=True)
class _VaeSizes:
    vae_layer: int
    vae_length: int
    vae_codebook_size: int = 1  # the root motion has no codebook
    vae_quantizer_lambda: float = 1.0


def is_there(directory: Path) -> bool:
    """Return whether `directory` has this layout."""
    return (directory / CONFIG).is_file() and (directory / AUTOENCODERS).is_dir()


def read(directory: Path, on_report: Callable[[LoadReport], None]) -> Bundle:
    """Read the checkpoint as a bundle; raises BundleError. on_report: see `load_model`."""
    sizes = _sizes(directory / CONFIG, _Sizes)
    folders = {key: directory / AUTOENCODERS / folder for key, folder in _FOLDERS.items()}
    vaes = {key: _sizes(folder / CONFIG, _VaeSizes) for key, folder in folders.items()}
    path = directory / WEIGHTS
    networks = {build_bundle.GESTURE: Network(path, _tensors(path), AUDIO_2025)}
    for key, folder in folders.items():
        names = AutoencoderNames(vaes[key].vae_layer)
        networks[key] = Network(folder / WEIGHTS, _tensors(folder / WEIGHTS), names)
    return build_bundle.assemble(
        _config(directory.resolve().name, sizes, vaes), networks, on_report
    )


def _sizes(path: Path, kind: type[Any]) -> Any:
    """Read the keys of `kind` from a configuration, which has many more."""
    if not path.is_file():
        raise BundleError(f"{path} is missing; this layout needs {FILES}")
    found = read_json(path)
    for name, expected in _RATES.items():
        if found.get(name, expected) != expected:
            raise BundleError(f"{path}: expected {name} {expected}, got {found[name]!r}")
    fields = kind.__dataclass_fields__
    try:
        return from_mapping(kind, {k: v for k, v in found.items() if k in fields}, str(path))
    except ConfigError as error:
        raise BundleError(str(error)) from error


def _tensors(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise BundleError(f"{path} is missing; this layout needs {FILES}")
    return read_safetensors(path)


def _config(name: str, sizes: _Sizes, vaes: Mapping[str, _VaeSizes]) -> BundleConfig:
    gesture = published_audio_config(
        width=sizes.hidden_size,
        audio_width=sizes.audio_f,
        motion_width=sizes.motion_f,
        codes=sizes.vae_codebook_size,
        code_dim=sizes.vae_codebook_size,  # one number for both in the reference implementation
        speakers=sizes.speaker_dims,
    )
    by_class = dict(zip(BodyPart, (sizes.cf, sizes.cu, sizes.ch, sizes.cl), strict=True))
    root = vaes[build_bundle.ROOT]
    lower = build_bundle.channels(BodyPart.LOWER)
    return BundleConfig(
        name=name,
        gesture=replace(gesture, period=sizes.pose_length),
        parts={part: _part(part, vaes[build_bundle.part_key(part)]) for part in BodyPart},
        root_model=RootModelConfig(lower, lower, root.vae_length, root.vae_layer, masked_fields=()),
        provenance=build_bundle.published("of 2025, audio"),
        speakers=tuple(str(i) for i in range(sizes.speaker_dims)),
        face=build_bundle.FACE.name,
        hand_reference=build_bundle.HANDS,
        schedule=build_bundle.live_schedule(sizes.pose_length),
        code_selection={
            part: CodeSelection.ARGMAX_OR_SAMPLE if likeliest > 0 else CodeSelection.NEAREST_LATENT
            for part, likeliest in by_class.items()
        },
        sampling=build_bundle.SAMPLING,
        front_end=FrontEnd.WAVE,
        file_schedule=published_audio_schedule(sizes.pose_length, sizes.seed_frames),
        mute_unvoiced=False,
        seed_from_identity=True,
        seed_root=SeedRoot.VELOCITY,
    )


def _part(part: BodyPart, sizes: _VaeSizes) -> PartVaeConfig:
    return PartVaeConfig(
        channels=build_bundle.channels(part),
        width=sizes.vae_length,
        code_dim=sizes.vae_length,
        codes=sizes.vae_codebook_size,
        layers=sizes.vae_layer,
        commitment=sizes.vae_quantizer_lambda,
    )
