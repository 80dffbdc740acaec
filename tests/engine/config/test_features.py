"""Configuration of the audio features."""

import numpy as np

from engine.config.features import FeatureConfig


def test_groups_cover_every_channel_once() -> None:
    config = FeatureConfig()
    covered = np.concatenate([np.arange(config.width)[part] for part in config.groups.values()])
    np.testing.assert_array_equal(covered, np.arange(config.width))
