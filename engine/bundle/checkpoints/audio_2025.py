"""The audio checkpoints of 2025 (layout A): `config.json`, `model.safetensors` and `emage_vq/`.

Knows where files lie and which key of their configurations is which size of ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.bundle.checkpoints import build_bundle as assembly
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
    **{assembly.part_key(part): str(part) for part in BodyPart},
    assembly.GLOBAL: "global",
}
FILES: Final = f"{CONFIG} and {WEIGHTS}, and the same two in each of " + ", ".join(
    f"{AUTOENCODERS}/{folder}" for folder in _FOLDERS.values()
)
_RATES: Final = {"audio_sr": 16000, "pose_fps": 30, "pose_dims": 330}


@dataclass(frozen=True)
class _Sizes:
    """The keys of `config.json` that matter; c?: above 0 the part's code is its likeliest class."""

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
    vae_codebook_size: int = 1  # global motion has no codebook
    vae_quantizer_lambda: float = 1.0


def is_there(directory: Path) -> bool:
    """Whether `directory` looks like this layout."""
    return (directory / CONFIG).is_file() and (directory / AUTOENCODERS).is_dir()


def read(directory: Path, tell: Callable[[LoadReport], None]) -> Bundle:
    """The checkpoint as a bundle; raises BundleError. tell: see
    `engine.bundle.checkpoints.build_bundle`.
    """
    sizes = _sizes(directory / CONFIG, _Sizes)
    folders = {key: directory / AUTOENCODERS / folder for key, folder in _FOLDERS.items()}
    vaes = {key: _sizes(folder / CONFIG, _VaeSizes) for key, folder in folders.items()}
    path = directory / WEIGHTS
    networks = {assembly.GESTURE: Network(path, _tensors(path), AUDIO_2025)}
    for key, folder in folders.items():
        names = AutoencoderNames(vaes[key].vae_layer)
        networks[key] = Network(folder / WEIGHTS, _tensors(folder / WEIGHTS), names)
    return assembly.assemble(_config(directory.resolve().name, sizes, vaes), networks, tell)


def _sizes(path: Path, kind: type[Any]) -> Any:
    """The known keys of a configuration; it has many more."""
    if not path.is_file():
        raise BundleError(f"{path} is missing; this layout needs {FILES}")
    found = read_json(path)
    for name, expected in _RATES.items():
        if found.get(name, expected) != expected:
            raise BundleError(f"{path}: expected {name} {expected}, got {found[name]!r}")
    wanted = kind.__dataclass_fields__
    try:
        return from_mapping(kind, {k: v for k, v in found.items() if k in wanted}, str(path))
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
        code_dim=sizes.vae_codebook_size,  # one number for both in the published program
        speakers=sizes.speaker_dims,
    )
    by_class = dict(zip(BodyPart, (sizes.cf, sizes.cu, sizes.ch, sizes.cl), strict=True))
    travel = vaes[assembly.GLOBAL]
    lower = assembly.channels(BodyPart.LOWER)
    return BundleConfig(
        name=name,
        gesture=replace(gesture, period=sizes.pose_length),
        parts={part: _part(part, vaes[assembly.part_key(part)]) for part in BodyPart},
        root_model=RootModelConfig(
            lower, lower, travel.vae_length, travel.vae_layer, masked_fields=()
        ),
        provenance=assembly.published("of 2025, audio"),
        speakers=tuple(str(i) for i in range(sizes.speaker_dims)),
        face=assembly.FACE.name,
        hand_reference=assembly.HANDS,
        schedule=assembly.live_schedule(sizes.pose_length),
        code_selection={
            part: CodeSelection.ARGMAX_OR_SAMPLE if likeliest > 0 else CodeSelection.NEAREST_LATENT
            for part, likeliest in by_class.items()
        },
        sampling=assembly.SAMPLING,
        front_end=FrontEnd.WAVE,
        file_schedule=published_audio_schedule(sizes.pose_length, sizes.seed_frames),
        mute_unvoiced=False,
        seed_from_identity=True,
        seed_root=SeedRoot.VELOCITY,
    )


def _part(part: BodyPart, sizes: _VaeSizes) -> PartVaeConfig:
    return PartVaeConfig(
        channels=assembly.channels(part),
        width=sizes.vae_length,
        code_dim=sizes.vae_length,
        codes=sizes.vae_codebook_size,
        layers=sizes.vae_layer,
        commitment=sizes.vae_quantizer_lambda,
    )
