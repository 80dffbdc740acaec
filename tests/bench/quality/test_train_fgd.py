from pathlib import Path

import pytest
import torch

from bench.metrics.gesture_features import gesture_vectors, load_encoder
from bench.quality.train_fgd import FeatureTraining, train_features, train_from_folder
from engine.errors import ConfigError
from tests.support.training_fixtures import waving
from training.data.clips import save_clip

SHORT = FeatureTraining(steps=3, batch=2, decoder_width=16)


def clips(count: int) -> list[torch.Tensor]:
    return [torch.from_numpy(gesture_vectors(waving(seed, 80))) for seed in range(count)]


def test_training_reduces_the_reconstruction_error() -> None:
    mixing = torch.randn(3, 330, generator=torch.Generator().manual_seed(0))
    time = torch.arange(80.0)[:, None]
    swaying = [torch.sin(time / torch.tensor([7.0, 11, 17]) + k) @ mixing for k in range(3)]
    errors = [
        train_features(swaying, FeatureTraining(steps, 8, decoder_width=32))[1] for steps in (1, 40)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_one_seed_gives_one_encoder() -> None:
    first, second = (train_features(clips(2), SHORT)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_held_out_clips_are_not_trained_on() -> None:
    wild = torch.full((70, 330), 50.0)
    settings = FeatureTraining(steps=1, batch=2, decoder_width=16, held_out=3)
    encoder, error = train_features([*clips(2), wild], settings)
    assert encoder.get_buffer("mean").abs().max() < 2
    assert error > 100


def test_clips_shorter_than_a_window_are_refused() -> None:
    with pytest.raises(ConfigError, match="64 frames"):
        train_features([torch.zeros(63, 330)], SHORT)


def test_weights_are_trained_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    for seed in range(2):
        save_clip(tmp_path / "clips" / f"{seed}.npz", waving(seed, 70), {})
    (tmp_path / "clips" / "bad.npz").write_bytes(b"?")
    notes = train_from_folder(tmp_path / "clips", tmp_path / "a.safetensors", SHORT, "free")
    assert "bad: " in capsys.readouterr().out
    assert (notes.data, notes.frames, notes.licence) == ("2 motions of clips", 140, "free")
    assert load_encoder(tmp_path / "a.safetensors")[1]["error"] == notes.error
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "bad.npz").write_bytes(b"?")
    with pytest.raises(ConfigError, match="could be read"):
        train_from_folder(tmp_path / "none", tmp_path / "b.safetensors", SHORT, "free")
