"""Configuration of the causal audio features of `engine.audio.features`."""

from dataclasses import dataclass
from typing import Final

from engine.errors import ConfigError


@dataclass(frozen=True)
class FeatureConfig:
    """Causal audio features: mel bands, onsets, levels and pitch of each frame.

    Attributes:
        name: version of the features, stored in bundles; change it whenever a value changes.
        bands: number of mel bands.
        low_hz: lower edge of the lowest band, Hz.
        high_hz: upper edge of the highest band, Hz.
        window: length of the Hann window, samples; one window ends at each position.
        positions: instants per frame at which the spectrum is computed; even.
        floor_db: level of silence in a band, dB relative to a full-scale sine.

    """

    name: str = "causal-mel32-v1"
    bands: int = 32
    low_hz: float = 80.0
    high_hz: float = 7600.0
    window: int = 512
    positions: int = 4
    floor_db: float = -70.0

    def __post_init__(self) -> None:
        if self.positions < 2 or self.positions % 2:
            raise ConfigError(f"positions must be even and at least 2, got {self.positions}")
        if self.bands < 1 or self.window < 16 or not self.floor_db < 0:
            raise ConfigError(
                f"expected bands >= 1, window >= 16 and floor_db < 0, got bands {self.bands}, "
                f"window {self.window}, floor_db {self.floor_db}"
            )

    @property
    def groups(self) -> dict[str, slice]:
        """Channels of each group in a feature vector."""
        sizes = {"mel_early": self.bands, "mel_late": self.bands, "onset": 2, "level": 2}
        found, start = {}, 0
        for name, size in (sizes | {"pitch": 2}).items():
            found[name] = slice(start, start + size)
            start += size
        return found

    @property
    def width(self) -> int:
        """Number of channels of a feature vector."""
        return 2 * self.bands + 6


DEFAULT_FEATURES: Final = FeatureConfig()
