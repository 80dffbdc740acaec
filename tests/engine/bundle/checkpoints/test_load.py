"""Models of all three layouts load with one function."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.export.random_checkpoints import write_random_audio_layout, write_random_text_layout
from engine.bundle.checkpoints.load import load_model
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.io import Bundle, load_bundle, save_bundle
from engine.errors import BundleError
from engine.motion.pose import PoseChunk, concatenate
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from tests.support.audio import babble
from tests.support.reference_model import SIZES, WORDS
from tests.support.tiny_bundle import tiny_bundle

WRITERS: dict[str, Callable[[Path], None]] = {
    "audio": lambda d: write_random_audio_layout(d, **SIZES),
    "text": lambda d: write_random_text_layout(d, WORDS, **SIZES),
}


def rendered(bundle: Bundle) -> PoseChunk:
    stream = GestureStream(bundle, schedule=bundle.config.file_schedule)
    stream.feed_words([TimedWord("hello", 0.2, 0.6), TimedWord("Yes", 0.9, 1.2)])
    stream.feed_audio(babble(2.0))
    return concatenate(stream.flush())


def test_our_bundle_loads(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path, half=False)
    assert load_model(tmp_path).config == tiny_bundle().config


@pytest.mark.parametrize("kind", WRITERS)
def test_a_converted_checkpoint_is_the_same_model(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / "published")
    published = load_model(tmp_path / "published")
    save_bundle(published, tmp_path / "ours", half=False)
    ours = load_bundle(tmp_path / "ours")
    assert ours.config == published.config
    assert torch.equal(ours.rest_codes, published.rest_codes)
    first, second = rendered(published), rendered(ours)
    assert len(first) > 40
    assert first.rotations.std() > 0
    for name in ("rotations", "translation", "face", "contacts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("kind", WRITERS)
def test_the_report_covers_all_tensors(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path)
    reports: list[LoadReport] = []
    load_model(tmp_path, reports.append)
    (report,) = reports
    assert len(report.matched) > 700
    assert {name.split(".")[0] for name in report.leftovers} >= {"transformer_en_layer"}
    assert report.problem == ""
    assert not report.missing + report.misfits + report.unexpected


def test_the_error_on_another_directory_lists_the_files_of_each_layout(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError) as caught:
            load_model(directory)
        for name in (
            "bundle.json",
            "config.json",
            "emage_vq/lower",
            "the VQ-VAE of the lower",
            "vocab.json",
        ):
            assert name in str(caught.value)
