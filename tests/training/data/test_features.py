"""Cached audio features of takes."""

from pathlib import Path

import numpy as np

from engine.audio.features import FeatureExtractor
from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES
from training.data.features import features_of


def test_features_are_cached_until_the_audio_changes(tmp_path: Path) -> None:
    path = tmp_path / "train_000.npz"
    audio = (np.random.default_rng(0).standard_normal(16000) * 3000).astype(np.int16)
    np.savez(path, audio=audio, face=np.zeros((30, 51), np.float32))
    (first,) = features_of([path], 2, workers=1)
    assert first.shape == (2, 30, DEFAULT_FEATURES.width)
    clean = FeatureExtractor(DEFAULT_FEATURES, FrameClock()).feed(audio.astype(np.float32) / 32768)
    assert np.abs(first[0] - clean[:30]).max() < 2e-3
    assert np.abs(first[1] - first[0]).max() > 0.05
    (stored,) = (tmp_path / "features").glob("*.npy")
    np.save(stored, np.full_like(first, 0.5))
    (again,) = features_of([path], 2, workers=1)
    assert (again == 0.5).all()  # read, not computed
    # Other audio under the same name is computed.
    np.savez(path, audio=audio[::-1], face=np.zeros((30, 51), np.float32))
    (other,) = features_of([path], 2, workers=1)
    assert np.abs(other[0] - first[0]).max() > 0.05
    assert len(list((tmp_path / "features").glob("*.npy"))) == 1
