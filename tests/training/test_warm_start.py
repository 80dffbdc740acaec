"""Warm start: the same function, with embeddings matched by word and speaker."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.bundle.io import Bundle, new_bundle, save_bundle
from engine.model.builders import build_gesture_model
from engine.model.types import WindowInputs
from engine.text.words import UNK, Vocabulary
from tests.support.tiny_bundle import randomize_zeros, tiny_config
from training.data.normalize import Scaling
from training.warm_start import is_bundle, load_matching, weights_from_bundle

SCALING = Scaling(torch.linspace(-1, 1, 337), torch.linspace(0.1, 2.0, 337))
WORDS = ("never", "strange", "yes")
SPEAKERS = ("new", "calm", "lively")


def saved(folder: Path) -> Bundle:
    """Save a bundle with two speakers."""
    config = tiny_config()
    gesture = replace(config.gesture, speakers=2)
    torch.manual_seed(0)
    bundle = new_bundle(replace(config, gesture=gesture, speakers=("lively", "calm")))
    randomize_zeros(bundle.gesture)
    save_bundle(bundle, folder, half=False)
    return bundle


def test_converted_weights_give_the_same_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = saved(tmp_path)
    sizes = {"words": replace(bundle.config.gesture.words, vocabulary=4 + len(WORDS))}
    config = replace(bundle.config.gesture, speakers=len(SPEAKERS), **sizes)
    model = build_gesture_model(config).eval()
    found = weights_from_bundle(tmp_path, Vocabulary(WORDS), SPEAKERS, SCALING)
    load_matching(model, found, tmp_path)
    total = len(model.state_dict())
    assert f"{total} of {total} tensors" in capsys.readouterr().out

    torch.manual_seed(1)
    motion, mask = torch.randn(2, 12, 337), (torch.rand(2, 12, 1) > 0.5).float().expand(2, 12, 337)
    audio, known = torch.randn(2, 12, 70), Vocabulary(bundle.config.vocabulary)
    there, here = [known.id_of(word) for word in ("yes", "never")], [6, 4]
    inputs = WindowInputs(
        motion, mask, audio, torch.tensor(there)[:, None].expand(2, 12), torch.tensor([1, 0])
    )
    expected = bundle.gesture(inputs)
    shown = inputs._replace(
        motion=SCALING.apply(motion),
        words=torch.tensor(here)[:, None].expand(2, 12),
        speaker=torch.tensor([1, 2]),
    )
    for a, b in zip(model(shown).logits, expected.logits, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_unknown_words_and_speakers_get_default_rows(tmp_path: Path) -> None:
    bundle = saved(tmp_path)
    found = weights_from_bundle(tmp_path, Vocabulary(WORDS), SPEAKERS, SCALING)
    table, speakers = bundle.gesture.state_dict()["speech.table.weight"], "body_speaker.weight"
    assert torch.equal(found["speech.table.weight"][5], table[UNK])
    assert torch.equal(found[speakers][0], bundle.gesture.state_dict()[speakers][0])


def test_only_a_folder_with_a_bundle_is_one(tmp_path: Path) -> None:
    assert not is_bundle(tmp_path)
    saved(tmp_path)
    assert is_bundle(tmp_path)
