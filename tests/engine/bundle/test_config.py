"""Settings of a bundle that contradict each other are refused."""

import dataclasses

import pytest

from engine.config.model import FrontEnd
from engine.errors import ConfigError
from tests.support.tiny_bundle import tiny_published_config


def test_a_network_that_hears_samples_is_not_gated() -> None:
    config = tiny_published_config(FrontEnd.WAVE)
    with pytest.raises(ConfigError, match="gated must be false for a network that hears samples"):
        dataclasses.replace(config, gated=True)
