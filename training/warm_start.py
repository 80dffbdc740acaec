"""A bundle as a starting point: its networks for a training that goes on where it was made.

What bundles leave out is not made up here: encoders are learned anew (stage vq with `bundle`).
Knows how a shipped network differs from one that learns; nothing of losses.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.bundle.io import CONFIG_FILE, Bundle, load_bundle
from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.data.normalize import Scaling, unfolded

_WORDS = "table.weight"  # of any table of words
_SPEAKERS = ("face_speaker.weight", "body_speaker.weight", "cue.speakers.weight")


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle."""
    return (folder / CONFIG_FILE).is_file()


def freeze_codebook(bundle: Bundle, part: BodyPart, fresh: PartVae) -> PartVae:
    """`fresh`, whose codes and decoder are the bundle's and no longer learn; its encoder does."""
    kept = bundle.parts[part].state_dict()
    own = {n for n in fresh.state_dict() if not n.startswith(("encoder.", "to_code."))}
    fresh.load_state_dict(fresh.state_dict() | {n: kept[n] for n in own})
    for name, parameter in fresh.named_parameters():
        parameter.requires_grad_(name not in own)
    return fresh


def weights_from_bundle(
    folder: Path, vocabulary: Vocabulary, speakers: Sequence[str], scaling: Scaling
) -> dict[str, Tensor]:
    """The gesture transformer of a bundle as a training has it: shown scaled motion, words and
    speakers by the numbers that they have there. Words that the bundle lacks begin as unknown ones.
    """
    bundle = load_bundle(folder)
    weights = unfolded(bundle.gesture, scaling).state_dict()
    words = Vocabulary(bundle.config.vocabulary)
    # The first four numbers are no words and the same everywhere.
    rows = [*range(4), *(words.id_of(word) for word in vocabulary.words)]
    said = {name: rows for name in weights if name.endswith(_WORDS)}
    moving = _row_indices(bundle.config.speakers, speakers)
    return _select_rows(weights, said | {name: moving for name in _SPEAKERS if name in weights})


def _row_indices(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each of `wanted` is in `known`; strangers begin as the first one."""
    return [known.index(name) if name in known else 0 for name in wanted]


def _select_rows(
    weights: Mapping[str, Tensor], rows: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    return {
        name: value[torch.tensor(rows[name])] if name in rows else value
        for name, value in weights.items()
    }


def load_matching(model: nn.Module, found: Mapping[str, Tensor], source: Path) -> None:
    """All weights of the same name and shape."""
    own = model.state_dict()
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(own | fitting)
    print(f"{len(fitting)} of {len(own)} tensors taken from {source}", flush=True)
