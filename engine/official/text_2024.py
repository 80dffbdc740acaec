"""The text and audio checkpoints of 2024 (layout B): six `.bin` files and a vocabulary as JSON.

Their configuration was a YAML file of the training program; every size is read off the tensors
instead. Files are found by the first word of their names, for the rest is an epoch.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import Tensor

from engine.bundle import Bundle, BundleConfig, SeedMotion
from engine.config import (
    FrontEnd,
    GestureConfig,
    GlobalMotionConfig,
    PartVaeConfig,
    WordConfig,
    published_text_config,
)
from engine.errors import BundleError
from engine.official import assembly
from engine.official.filling import Network
from engine.official.names import POSITIONS, TEXT_2024, AutoencoderNames
from engine.official.reading import read_checkpoint
from engine.official.report import LoadReport
from engine.official.vocabulary import read_vocabulary, table_words
from engine.sampling import CodeChoice
from engine.schedule import published_text_schedule
from engine.skeleton import BodyPart

VOCABULARIES: Final = ("vocab.json", "meta.json")
_SUFFIX: Final = ".bin"
_AUTOENCODERS: Final = "pretrained_vq"  # the folder in which the release has five of them
_FIRST_WORDS: Final = {
    assembly.GESTURE: "emage",
    **{assembly.part_key(part): str(part) for part in BodyPart},
    assembly.GLOBAL: "last",
}
FILES: Final = (
    ", ".join(f"{word}*{_SUFFIX}" for word in _FIRST_WORDS.values())
    + f" (the last five may lie in {_AUTOENCODERS}), and the vocabulary as {VOCABULARIES[0]}"
)
_PERIOD: Final = 64
_SEED: Final = 4


def is_there(directory: Path) -> bool:
    """Whether `directory` looks like this layout."""
    return any(directory.glob(f"*{_SUFFIX}"))


def read(directory: Path, tell: Callable[[LoadReport], None]) -> Bundle:
    """The checkpoint as a bundle; raises BundleError. tell: see `engine.official.assembly`."""
    paths = {key: _find(directory, word) for key, word in _FIRST_WORDS.items()}
    vocabulary = _vocabulary(directory)
    tensors = {key: read_checkpoint(path) for key, path in paths.items()}
    sizes = {key: _Sizes(paths[key], found) for key, found in tensors.items()}
    names = {
        key: TEXT_2024 if key == assembly.GESTURE else AutoencoderNames(size.layers)
        for key, size in sizes.items()
    }
    networks = {key: Network(paths[key], tensors[key], names[key]) for key in paths}
    rows = sizes[assembly.GESTURE].of("text_pre_encoder_face.weight", 0)
    words = table_words(read_vocabulary(vocabulary), rows, vocabulary)
    config = _config(directory.resolve().name, sizes, words)
    return assembly.assemble(config, networks, tell)


def _find(directory: Path, word: str) -> Path:
    """The one file whose name begins with `word`."""
    places = (directory, directory / _AUTOENCODERS)
    found = [p for place in places for p in sorted(place.glob(f"{word}*{_SUFFIX}"))]
    if len(found) != 1:
        what = " and ".join(path.name for path in found) or "none"
        raise BundleError(
            f"{directory}: expected one file {word}*{_SUFFIX}, got {what}; this layout "
            f"needs {FILES}"
        )
    return found[0]


def _vocabulary(directory: Path) -> Path:
    for name in VOCABULARIES:
        if (directory / name).is_file():
            return directory / name
    raise BundleError(
        f"{directory}: the vocabulary is missing; expected {' or '.join(VOCABULARIES)}. Make it of "
        f"the pickled one with: emage-bundle vocab vocab.pkl -o {directory / VOCABULARIES[0]}"
    )


class _Sizes:
    """Sizes by the shapes of a file's tensors."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._path = path
        self._tensors = tensors

    def of(self, name: str, dim: int) -> int:
        """Extent of tensor `name` along `dim`; BundleError where there is none."""
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
        """Blocks of an autoencoder's encoder: every third entry is a convolution."""
        return sum(bool(re.fullmatch(r"encoder\.main\.\d+\.weight", n)) for n in self._tensors)

    @property
    def period(self) -> int:
        """Frames after which the positions repeat: they are stored twice."""
        return self.of(POSITIONS, 1) // 2 if POSITIONS in self._tensors else _PERIOD


def _config(name: str, sizes: Mapping[str, _Sizes], words: tuple[str, ...]) -> BundleConfig:
    gesture = _gesture(sizes[assembly.GESTURE])
    travel = sizes[assembly.GLOBAL]
    lower = assembly.channels(BodyPart.LOWER)
    width = travel.of("encoder.main.0.weight", 0)
    return BundleConfig(
        name=name,
        gesture=gesture,
        parts={part: _part(part, sizes[assembly.part_key(part)]) for part in BodyPart},
        global_motion=GlobalMotionConfig(lower, lower, width, travel.layers),
        provenance=assembly.published("of 2024, text and audio"),
        vocabulary=words,
        speakers=tuple(str(i + 1) for i in range(gesture.speakers)),
        face=assembly.FACE.name,
        hand_reference=assembly.HANDS,
        schedule=assembly.live_schedule(gesture.period),
        choices={
            part: CodeChoice.LATENT if part is BodyPart.FACE else CodeChoice.CLASS
            for part in BodyPart
        },
        sampling=assembly.SAMPLING,
        global_zeroed=("translation",),
        front_end=FrontEnd.RHYTHM,
        offline=published_text_schedule(gesture.period, _SEED),
        gated=False,
        still_seeds=True,
        seed_motion=SeedMotion.PLACED,
        global_orthonormal=True,
    )


def _gesture(sizes: _Sizes) -> GestureConfig:
    table = "text_pre_encoder_face.weight"
    config = published_text_config(
        sizes.of(table, 0),
        width=sizes.of("feature2motion.weight", 0),
        audio_width=sizes.of("audio_feature2motion.weight", 1),
        motion_width=sizes.of("feature2motion.weight", 1),
        codes=sizes.of("face_classifier.mlp.2.weight", 0),
        code_dim=sizes.of("face2latent.weight", 0),
        speakers=sizes.of("spearker_encoder_face.weight", 0),
    )
    words = WordConfig(sizes.of(table, 0), sizes.of(table, 1), attention_layers=1)
    return replace(config, words=words, period=sizes.period)


def _part(part: BodyPart, sizes: _Sizes) -> PartVaeConfig:
    return PartVaeConfig(
        channels=assembly.channels(part),
        width=sizes.of("encoder.main.0.weight", 0),
        code_dim=sizes.of("quantizer.embedding.weight", 1),
        codes=sizes.of("quantizer.embedding.weight", 0),
        layers=sizes.layers,
    )
