"""Warm start: initialises training from the networks of a bundle.

Bundles leave the VQ encoders out; the stage vq with `bundle` trains new ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.bundle.io import CONFIG_FILE, Bundle, load_bundle
from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.data.normalize import Scaling, unfold

_WORDS = "table.weight"  # suffix of every word embedding
_SPEAKERS = ("face_speaker.weight", "body_speaker.weight", "cue.speakers.weight")


def is_bundle(folder: Path) -> bool:
    """True if a folder holds a bundle."""
    return (folder / CONFIG_FILE).is_file()


def freeze_codebook(bundle: Bundle, part: BodyPart, fresh: PartVae) -> PartVae:
    """Load the bundle's codebook and decoder into `fresh` and freeze them; the encoder trains."""
    kept = bundle.parts[part].state_dict()
    own = {n for n in fresh.state_dict() if not n.startswith(("encoder.", "to_code."))}
    fresh.load_state_dict(fresh.state_dict() | {n: kept[n] for n in own})
    for name, parameter in fresh.named_parameters():
        parameter.requires_grad_(name not in own)
    return fresh


def weights_from_bundle(
    folder: Path, vocabulary: Vocabulary, speakers: Sequence[str], scaling: Scaling
) -> dict[str, Tensor]:
    """Convert a bundle's gesture transformer to training weights.

    Motion input becomes normalised by `scaling`; embedding rows follow the training's vocabulary
    and speakers. Words that the bundle lacks start from the unknown word.
    """
    bundle = load_bundle(folder)
    weights = unfold(bundle.gesture, scaling).state_dict()
    words = Vocabulary(bundle.config.vocabulary)
    # The first four rows are special tokens, the same in every vocabulary.
    rows = [*range(4), *(words.id_of(word) for word in vocabulary.words)]
    said = {name: rows for name in weights if name.endswith(_WORDS)}
    moving = _row_indices(bundle.config.speakers, speakers)
    return _select_rows(weights, said | {name: moving for name in _SPEAKERS if name in weights})


def _row_indices(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Index of each of `wanted` in `known`; unknown speakers start from speaker 0."""
    return [known.index(name) if name in known else 0 for name in wanted]


def _select_rows(
    weights: Mapping[str, Tensor], rows: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    return {
        name: value[torch.tensor(rows[name])] if name in rows else value
        for name, value in weights.items()
    }


def load_matching(model: nn.Module, found: Mapping[str, Tensor], source: Path) -> None:
    """Load the tensors of `found` whose name and shape match; print their number."""
    own = model.state_dict()
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(own | fitting)
    print(f"{len(fitting)} of {len(own)} tensors taken from {source}", flush=True)
