"""Reads `emage-text`, the checkpoints of 2024 (layout B): six `.bin` files and a vocabulary.

Their configuration was a YAML file of the training program; here every size is read from the
tensors. The six files are identified by the names and shapes of their tensors, because file names
differ between releases and the folders contain further `.bin` files.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import Tensor

from engine.bundle.checkpoints import build_bundle
from engine.bundle.checkpoints.key_map import POSITIONS, TEXT_2024, AutoencoderNames
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.checkpoints.load_tensors import Network
from engine.bundle.checkpoints.safe_read import read_checkpoint
from engine.bundle.checkpoints.vocabulary import read_vocabulary, table_words
from engine.bundle.config import BundleConfig
from engine.bundle.io import Bundle
from engine.config.model import FrontEnd, GestureConfig, PartVaeConfig, RootModelConfig, WordConfig
from engine.config.presets import published_text_config
from engine.errors import BundleError
from engine.generate.sampling import CodeSelection
from engine.generate.schedule import published_text_schedule
from engine.generate.state import SeedRoot
from engine.motion.skeleton import BodyPart

VOCABULARIES: Final = (
    *("vocab.json", "meta.json", "vocab.pkl"),
    "test_sequences/weights/vocab.pkl",  # where the release has it
)
_SUFFIX: Final = ".bin"
_AUTOENCODERS: Final = "pretrained_vq"  # the folder in which the release has five of them
_TABLE: Final = "text_pre_encoder_face.weight"
_INPUT: Final = "encoder.main.0.weight"
_CODEBOOK: Final = "quantizer.embedding.weight"
_CONTENTS: Final = {
    build_bundle.GESTURE: "the network of text and audio",
    **{build_bundle.part_key(part): f"the VQ-VAE of the {part}" for part in BodyPart},
    build_bundle.ROOT: "the root motion",
}
FILES: Final = (
    f"six {_SUFFIX} files, here or in {_AUTOENCODERS}: {', '.join(_CONTENTS.values())}; and the "
    f"vocabulary as {VOCABULARIES[0]} or vocab.pkl"
)
_PERIOD: Final = 64
_SEED: Final = 4


def is_there(directory: Path) -> bool:
    """Return whether `directory` has this layout."""
    return any(_candidates(directory))


def read(directory: Path, on_report: Callable[[LoadReport], None]) -> Bundle:
    """Read the checkpoint as a bundle; raises BundleError. on_report: see `load_model`."""
    vocabulary = _vocabulary(directory)
    paths, tensors = _six(directory)
    sizes = {key: _Sizes(paths[key], found) for key, found in tensors.items()}
    names = {
        key: TEXT_2024 if key == build_bundle.GESTURE else AutoencoderNames(size.layers)
        for key, size in sizes.items()
    }
    networks = {key: Network(paths[key], tensors[key], names[key]) for key in paths}
    rows = sizes[build_bundle.GESTURE].of(_TABLE, 0)
    words = table_words(read_vocabulary(vocabulary), rows, vocabulary)
    config = _config(directory.resolve().name, sizes, words)
    return build_bundle.assemble(config, networks, on_report)


def _candidates(directory: Path) -> list[Path]:
    folders = (directory, directory / _AUTOENCODERS)
    return [path for folder in folders for path in sorted(folder.glob(f"*{_SUFFIX}"))]


def _six(directory: Path) -> tuple[dict[str, Path], dict[str, dict[str, Tensor]]]:
    """Find the paths and tensors of the six networks, by the key of the bundle's module.

    Raises BundleError if one is missing or present twice. Other files, readable or not, are ignored
    if all six are found.
    """
    paths: dict[str, Path] = {}
    tensors: dict[str, dict[str, Tensor]] = {}
    problems: list[BundleError] = []
    others: list[str] = []
    for path in _candidates(directory):
        try:
            found = read_checkpoint(path)
        except BundleError as error:
            problems.append(error)
            continue
        key = _key_of(found)
        if key is None:
            others.append(path.name)
        elif key in paths:
            raise BundleError(
                f"{directory}: both {paths[key].name} and {path.name} hold {_CONTENTS[key]}; move "
                "one of them out of the folder"
            )
        else:
            paths[key], tensors[key] = path, found
    missing = [content for key, content in _CONTENTS.items() if key not in paths]
    if missing and problems:
        raise problems[0]
    if missing:
        ignored = f" ({', '.join(others)} hold other models)" if others else ""
        raise BundleError(
            f"{directory}: no file holds {', or '.join(missing)}{ignored}; this layout needs "
            f"{FILES}"
        )
    return paths, tensors


def _key_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Key of the network in a file, by its tensors; None for another model."""
    if _TABLE in tensors:
        return build_bundle.GESTURE
    first = tensors.get(_INPUT)
    if first is None or first.dim() != 3 or "decoder.main.0.model.0.weight" not in tensors:
        return None
    channels = first.shape[1]
    if _CODEBOOK not in tensors:
        return build_bundle.ROOT if channels == build_bundle.channels(BodyPart.LOWER) else None
    parts = {build_bundle.channels(part): build_bundle.part_key(part) for part in BodyPart}
    return parts.get(channels)


def _vocabulary(directory: Path) -> Path:
    for name in VOCABULARIES:
        if (directory / name).is_file():
            return directory / name
    raise BundleError(
        f"{directory}: the vocabulary is missing; expected {' or '.join(VOCABULARIES)}. The first "
        f"is made from a pickle with: emage-bundle vocab vocab.pkl -o {directory / VOCABULARIES[0]}"
    )


class _Sizes:
    """Sizes of a network, from the shapes of the tensors in its file."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._path = path
        self._tensors = tensors

    def of(self, name: str, dim: int) -> int:
        """Size of tensor `name` along `dim`; raises BundleError if there is none."""
        found = self._tensors.get(name)
        if found is None or found.dim() <= dim:
            got = "none" if found is None else str(list(found.shape))
            raise BundleError(
                f"{self._path}: tensor {name}: expected more than {dim} dimensions, got {got}; it "
                "is another model"
            )
        return int(found.shape[dim])

    @property
    def layers(self) -> int:
        """Number of blocks of an autoencoder's encoder; every third entry is a convolution."""
        return sum(bool(re.fullmatch(r"encoder\.main\.\d+\.weight", n)) for n in self._tensors)

    @property
    def period(self) -> int:
        """Period of the positions, frames; the stored table has two periods."""
        return self.of(POSITIONS, 1) // 2 if POSITIONS in self._tensors else _PERIOD


def _config(name: str, sizes: Mapping[str, _Sizes], words: tuple[str, ...]) -> BundleConfig:
    gesture = _gesture(sizes[build_bundle.GESTURE])
    root = sizes[build_bundle.ROOT]
    lower = build_bundle.channels(BodyPart.LOWER)
    width = root.of(_INPUT, 0)
    return BundleConfig(
        name=name,
        gesture=gesture,
        parts={part: _part(part, sizes[build_bundle.part_key(part)]) for part in BodyPart},
        root_model=RootModelConfig(lower, lower, width, root.layers, orthonormalize=True),
        provenance=build_bundle.published("of 2024, text and audio"),
        vocabulary=words,
        speakers=tuple(str(i + 1) for i in range(gesture.speakers)),
        face=build_bundle.FACE.name,
        hand_reference=build_bundle.HANDS,
        schedule=build_bundle.live_schedule(gesture.period),
        code_selection={
            part: CodeSelection.NEAREST_LATENT
            if part is BodyPart.FACE
            else CodeSelection.ARGMAX_OR_SAMPLE
            for part in BodyPart
        },
        sampling=build_bundle.SAMPLING,
        front_end=FrontEnd.RHYTHM,
        file_schedule=published_text_schedule(gesture.period, _SEED),
        mute_unvoiced=False,
        seed_from_identity=True,
        seed_root=SeedRoot.POSITION,
        instant_words=True,
    )


def _gesture(sizes: _Sizes) -> GestureConfig:
    config = published_text_config(
        sizes.of(_TABLE, 0),
        width=sizes.of("feature2motion.weight", 0),
        audio_width=sizes.of("audio_feature2motion.weight", 1),
        motion_width=sizes.of("feature2motion.weight", 1),
        codes=sizes.of("face_classifier.mlp.2.weight", 0),
        code_dim=sizes.of("face2latent.weight", 0),
        speakers=sizes.of("spearker_encoder_face.weight", 0),
    )
    words = WordConfig(sizes.of(_TABLE, 0), sizes.of(_TABLE, 1), attention_layers=1)
    return replace(config, words=words, period=sizes.period)


def _part(part: BodyPart, sizes: _Sizes) -> PartVaeConfig:
    return PartVaeConfig(
        channels=build_bundle.channels(part),
        width=sizes.of(_INPUT, 0),
        code_dim=sizes.of(_CODEBOOK, 1),
        codes=sizes.of(_CODEBOOK, 0),
        layers=sizes.layers,
    )
