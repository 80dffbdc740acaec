"""Stroke test on held-out speech, and limits for the shipped bundle."""

import json

import pytest

from bench.__main__ import main
from bench.quality.sync_test import held_out_speech, stroke_report
from engine.bundle.io import DEFAULT_BUNDLE, load_bundle
from tests.support.tiny_bundle import tiny_bundle

pytestmark = pytest.mark.synthesis


def test_a_seed_repeats_its_sentences() -> None:
    first, again = (list(held_out_speech(20, seed=3)) for _ in range(2))
    assert sum(speech.duration for speech in first) >= 20
    said, repeated = ([[w.text for w in s.words] for s in speech] for speech in (first, again))
    assert said == repeated


def test_a_report_has_the_amount_of_speech() -> None:
    report = stroke_report(tiny_bundle(), 40.0)
    assert report["speech_s"] >= 40
    assert report["utterances"] >= 2
    assert report["stresses"] > 10
    assert 0 < report["p_value"] <= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_starter_strokes_follow_the_speech(capsys) -> None:
    """Strokes are nearer to their stresses than to others; little motion without audio."""
    assert load_bundle(DEFAULT_BUNDLE).config.name == "starter"
    assert main(["sync", "--minutes", "12"]) == 0
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert report["p_value"] < 0.01
    assert report["distance"] < report["shuffled_distance"]
    assert report["mute_ratio"] < 0.5
