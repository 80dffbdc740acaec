"""The parts that do not need the reference programs: engine, comparison and table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.export.random_checkpoints import write_random_audio_layout, write_random_text_layout
from bench.quality.parity import (
    CheckpointResult,
    Difference,
    Rendered,
    difference,
    largest,
    lengths,
    noise,
    published_rhythm,
    random_words,
    render_audio,
    render_text,
    table,
)
from engine.bundle.checkpoints.load import load_model
from engine.clock import FrameClock
from engine.motion.rotation import exp
from tests.support.audio import babble
from tests.support.reference_model import SIZES, WORDS


def still(frames: int) -> Rendered:
    rotations = np.zeros((frames, 55, 4))
    rotations[..., 0] = 1.0
    codes = np.zeros((4, frames), np.int64)
    return Rendered(rotations, np.zeros((frames, 3)), np.zeros((frames, 100)), codes)


def test_equal_files_do_not_differ() -> None:
    assert difference(still(20), still(20)) == Difference()
    assert Difference().none


def test_each_kind_of_difference_is_found() -> None:
    turned = still(20)
    turned.rotations[7, 30] = exp(np.array([0.0, 0.02, 0.0]))
    found = difference(still(20), turned)
    assert found.rotation == pytest.approx(0.02)
    assert not found.none
    codes = still(20).codes
    codes[2, 5:8] = 1
    found = difference(still(20), replace(still(20), codes=codes))
    assert found == Difference(codes=3)
    assert not found.none
    assert difference(still(20), still(19)) == Difference(lengths=1)
    assert not Difference(lengths=1).none
    assert not Difference(place=2e-3).none
    assert Difference(face=2e-4).none


def test_maxima_of_differences_and_sums_of_codes() -> None:
    found = [Difference(0.1, 0.2, 0.3, 2), Difference(0.3, 0.1, 0.0, 1, 1)]
    assert largest(found) == Difference(0.3, 0.2, 0.3, 3, 1)


def test_lengths_have_at_least_the_given_frames() -> None:
    found = lengths(np.random.default_rng(0), 40, 9)
    assert len(found) == 40
    assert min(samples * 30 // 16000 for samples in found) >= 9
    clock = FrameClock()
    short = [samples * 30 // 16000 < clock.frames_complete(samples) for samples in found]
    assert 5 <= sum(short) <= 10
    assert lengths(np.random.default_rng(0), 0, 9) == []


def test_rendered_file_of_2025_and_its_codes(tmp_path: Path) -> None:
    write_random_audio_layout(tmp_path, **SIZES)
    sound = noise(32000, np.random.default_rng(0))
    assert sound.std() > 0.01
    found = render_audio(load_model(tmp_path), sound, 0)
    assert found.codes.shape == (4, len(found.places)) == (4, 60)
    assert difference(found, render_audio(load_model(tmp_path), sound, 0)).none
    assert not difference(found, render_audio(load_model(tmp_path), sound[::-1].copy(), 0)).none


def test_rendered_file_of_2024_and_its_codes(tmp_path: Path) -> None:
    write_random_text_layout(tmp_path, WORDS, **SIZES)
    bundle, words = load_model(tmp_path), random_words(48, np.random.default_rng(0)) % 9
    entries = published_rhythm(babble(1.7))
    found = render_text(bundle, entries, words, 3)
    assert found.codes.shape == (4, len(found.places)) == (4, 44)  # one window and one hop
    assert not difference(found, render_text(bundle, entries, words, 4)).none
    assert not difference(found, render_text(bundle, entries, words[::-1].copy(), 3)).none


def test_the_rhythm_of_2024() -> None:
    sound = babble(1.0)
    entries = published_rhythm(sound, [3, 8])
    assert np.flatnonzero(entries[:, 1]).tolist() == [3, 8]
    assert entries[100, 0] == np.abs(sound[100:1124]).max()
    assert entries[-1, 0] == entries[len(sound) - 1024, 0]
    assert np.flatnonzero(published_rhythm(sound)[:, 1]).max() <= len(sound) // 512


def test_the_table_has_the_verdict() -> None:
    rows = [
        CheckpointResult("audio, 2025", "32 wide", 20, 4000, Difference(2e-4)),
        CheckpointResult("text and audio, 2024", "48 wide", 20, 3000, Difference(2.0, codes=7)),
    ]
    head, same, differs = table(rows).splitlines()
    assert "rad" in head
    assert same.endswith("same")
    assert "2.0e+00" in differs
    assert differs.endswith("DIFFERS")
