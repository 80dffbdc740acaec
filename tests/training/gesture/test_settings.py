"""Settings files of the stage gesture."""

from pathlib import Path

import pytest

from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError
from training.__main__ import read_config
from training.gesture.hint_masks import HintShape
from training.gesture.settings import Design, GestureTraining


def read(root: Path, name: str) -> GestureTraining:
    return from_mapping(GestureTraining, read_config(root / "training" / "configs" / name))


def test_files_enable_their_methods(root: Path) -> None:
    live, streaming = read(root, "gesture.toml"), read(root, "gesture_streaming.toml")
    published, paper = read(root, "gesture_published.toml"), read(root, "gesture_paper.toml")
    # The settings of the shipped bundle predate these methods.
    assert live.rollout.share == live.masking.hint_share == live.masking.wrong_codes[0] == 0.0
    assert streaming.rollout.share > 0
    assert streaming.masking.wrong_codes > (0.0, 0.0)
    assert HintShape.JOINTS in streaming.masking.hint_shapes
    assert published.masking.hint_shapes == (HintShape.CHANNELS,)
    assert published.masking.hidden_suffixes == ((1.0, 60, 60),)
    assert published.rollout.share == published.masking.noise == 0.0
    assert paper.design is Design.PAPER
    # Both are compared with each other, so network and losses are the same.
    for name in ("width", "batch", "design", "latent_weight", "stress_weight_aux", "stress_weight"):
        assert getattr(published, name) == getattr(streaming, name), name


def test_settings_round_trip_through_a_mapping(root: Path) -> None:
    settings = read(root, "gesture_streaming.toml")
    assert from_mapping(GestureTraining, to_mapping(settings)) == settings


def test_unknown_hint_shape_is_named() -> None:
    with pytest.raises(ConfigError, match=r"masking\.hint_shapes\[0\]: expected one of 'joints'"):
        from_mapping(GestureTraining, {"masking": {"hint_shapes": ["elbows"]}})
