"""Contradicting settings of a bundle are an error."""

import dataclasses

import pytest

from engine.config.model import FrontEnd
from engine.errors import ConfigError
from tests.support.tiny_bundle import tiny_published_config


def test_mute_unvoiced_requires_features() -> None:
    config = tiny_published_config(FrontEnd.WAVE)
    with pytest.raises(ConfigError, match="mute_unvoiced must be false for a network"):
        dataclasses.replace(config, mute_unvoiced=True)
