"""Reads, writes and checks bundles on disk.

A bundle is a directory with `bundle.json`, the `BundleConfig`, and `weights.safetensors`. Loading
executes nothing in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.bundle.config import BundleConfig
from engine.bundle.format_1 import to_format_2
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import BundleError, ConfigError
from engine.model.builders import build_gesture_model, build_part_vae, build_root_model
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.model.root_motion import RootModel
from engine.model.skip_init import SkipInit
from engine.motion.skeleton import BodyPart
from engine.system.atomic import atomic

CONFIG_FILE = "bundle.json"
WEIGHTS_FILE = "weights.safetensors"
FORMAT = 2
DEFAULT_BUNDLE = Path(__file__).parent / "starter"
DEMO_SOUND = Path(__file__).parent / "demo" / "demo.flac"
DEMO_WORDS = DEMO_SOUND.with_suffix(".tsv")
REST_CODES = "rest.codes"
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Bundle:
    """A loaded model. rest_codes `[P]` int64: codes of the rest pose, in the order of BodyPart."""

    config: BundleConfig
    gesture: GestureModel
    parts: Mapping[BodyPart, PartVae]
    root_model: RootModel
    rest_codes: Tensor

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the prefix of their tensors in `weights.safetensors`."""
        parts = {f"parts.{part}": module for part, module in self.parts.items()}
        return {"gesture": self.gesture, **parts, "global_motion": self.root_model}


def to_device(bundle: Bundle, device: str) -> Bundle:
    """Move the networks to `device`; raises ConfigError if the device is not available."""
    try:
        for module in bundle.modules().values():
            module.to(device)
        return replace(bundle, rest_codes=bundle.rest_codes.to(device))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"expected a device of PyTorch, such as cpu or cuda; {error}") from error


class Missing(nn.Module):
    """Placeholder for a network that the bundle lacks; raises BundleError if called."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    def forward(self, *inputs: object, **options: object) -> Tensor:
        raise BundleError(self._message)


def without_network(bundle: Bundle) -> Bundle:
    """Copy the bundle without the transformer, for streams with a kernel; the rest is shared."""
    message = "this bundle's gesture transformer was moved to a kernel; call the kernel"
    return replace(bundle, gesture=cast(GestureModel, Missing(message)))


def new_bundle(config: BundleConfig) -> Bundle:
    """Build a bundle with random weights, in evaluation mode."""
    bundle = Bundle(
        config=config,
        gesture=build_gesture_model(config.gesture),
        parts={part: build_part_vae(config.parts[part]) for part in BodyPart},
        root_model=build_root_model(config.root_model),
        rest_codes=torch.zeros(len(BodyPart), dtype=torch.int64),
    )
    if not config.include_encoders:
        for vae in bundle.parts.values():
            message = "this bundle has no encoders: it can decode codes, but not encode motion"
            vae.encoder, vae.to_code = Missing(message), nn.Identity()
    for module in bundle.modules().values():
        module.eval().requires_grad_(False)
    return bundle


def uninitialized_bundle(config: BundleConfig) -> Bundle:
    """Build a bundle without initialising its tensors, which must all be loaded."""
    with SkipInit():
        return new_bundle(config)


def save_bundle(bundle: Bundle, directory: Path, *, half: bool = True) -> None:
    """Write the bundle to `directory`; weights as float16 if `half`.

    A new directory appears complete or not at all. A writer that is killed while it replaces a
    bundle leaves the old one or none. Raises OSError if it cannot be written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    if not directory.exists():
        with atomic(directory) as part:
            part.mkdir()
            _write(bundle, part / WEIGHTS_FILE, part / CONFIG_FILE, half)
        return
    config = directory / CONFIG_FILE
    with atomic(config) as config_part, atomic(directory / WEIGHTS_FILE) as weights_part:
        _write(bundle, weights_part, config_part, half)
        # An old configuration with new weights must never be loaded.
        config.unlink(missing_ok=True)


def _write(bundle: Bundle, weights: Path, config: Path, half: bool) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {REST_CODES: bundle.rest_codes}
    for prefix, module in bundle.modules().items():
        for name, tensor in module.state_dict().items():
            halved = half and tensor.is_floating_point()
            tensors[f"{prefix}.{name}"] = (tensor.half() if halved else tensor).contiguous()
    try:
        save_file(tensors, str(weights))
    except SafetensorError as error:  # for example a full disk
        raise OSError(str(error)) from error
    text = json.dumps({"format": FORMAT, **to_mapping(bundle.config)}, indent=1)
    config.write_text(text + "\n", encoding="utf-8")


def load_bundle(directory: Path) -> Bundle:
    """Read a bundle; raises BundleError with the name of the file or of the first wrong tensor."""
    config = load_config(directory)
    tensors = read_safetensors(directory / WEIGHTS_FILE)
    try:
        bundle = uninitialized_bundle(config)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise BundleError(
            f"{directory / CONFIG_FILE} has sizes from which no network can be built "
            f"({' '.join(str(error).split())[:160]}); copy the bundle again"
        ) from error
    rest = _take(tensors, REST_CODES, bundle.rest_codes)
    bundle.rest_codes.copy_(rest)
    for part, code in zip(BodyPart, rest.tolist(), strict=True):
        if not 0 <= code < bundle.parts[part].codes:
            raise BundleError(f"{directory}: {REST_CODES} of {part} is {code}, not in its codebook")
    for prefix, module in bundle.modules().items():
        state = {n: _take(tensors, f"{prefix}.{n}", t) for n, t in module.state_dict().items()}
        module.load_state_dict(state)
    if tensors:
        raise BundleError(f"{directory}: tensor {sorted(tensors)[0]} is not of this model")
    return bundle


def load_config(directory: Path) -> BundleConfig:
    """Read the configuration only; raises BundleError if it is missing or wrong."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise BundleError(
            f"{directory} is not a bundle: expected {CONFIG_FILE} and {WEIGHTS_FILE} in it; "
            "give the directory of a model with --model"
        )
    refuse_pointer(path)
    try:
        mapping: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = mapping.pop("format", None)
    except (ValueError, AttributeError, TypeError, OSError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as a JSON object: {error}") from error
    if found not in (1, FORMAT):
        raise BundleError(
            f"{path}: expected format 1 or {FORMAT}, got {found!r}; update emage-live"
        )
    try:
        return from_mapping(BundleConfig, to_format_2(mapping) if found == 1 else mapping)
    except ConfigError as error:
        raise BundleError(f"{path}: {error}") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name; raises BundleError if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.exists() and not path.is_file():  # reading a pipe would block
        raise BundleError(f"{path} is not a file; expected the weights as safetensors")
    refuse_pointer(path)
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"{path} cannot be read as safetensors ({error}); it may be cut short: copy it again"
        ) from error


def refuse_pointer(path: Path) -> None:
    """Raise BundleError if a file is a Git LFS pointer.

    A repository cloned without Git LFS has such texts of about 130 bytes in place of large files.
    An unreadable file is not an error here.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError:
        return
    if start == _POINTER:
        raise BundleError(
            f"{path} is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull, in "
            "the cloned folder, or download the file"
        )


def _take(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Remove and return tensor `name`, checked against the shape of `like`, in its dtype."""
    if name not in tensors:
        raise BundleError(f"tensor {name} is missing; expected shape {list(like.shape)}")
    tensor = tensors.pop(name)
    if tensor.shape != like.shape:
        raise BundleError(
            f"tensor {name}: expected shape {list(like.shape)}, got {list(tensor.shape)}"
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise BundleError(f"tensor {name} holds NaN or infinite values; the file is damaged")
    return tensor.to(like.dtype)
