"""Distances between motions by features of a tiny training."""

from pathlib import Path

import pytest

from bench.starter import likeness
from bench.starter.likeness import distance, encoder_for, features_of, scale
from tests.material import waving


def test_features_are_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "_STEPS", 2)
    path = tmp_path / "features.safetensors"
    clips = [waving(seed, 70) for seed in range(3)]
    made = encoder_for(path, clips)
    monkeypatch.setattr(likeness, "train_features", None)
    again = encoder_for(path, clips)
    first, second = (features_of(encoder, clips[:1]) for encoder in (made, again))
    assert first == pytest.approx(second, rel=0.02, abs=0.02), "kept in half precision"
    assert distance(again, clips, clips) == pytest.approx(0.0, abs=1e-3)
    assert distance(again, clips[:1], clips[1:]) > distance(again, clips, clips)
    found = scale(again, clips, [waving(9, 70)])
    assert set(found) == {
        "FGD between halves of the real clips",
        "FGD of training clips to held-out clips",
    }
    assert min(found.values()) > 0.0
