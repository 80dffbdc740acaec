"""Loads pocketsphinx, a small speech recogniser for the CPU, with its English model."""

from typing import Any

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError


def load_decoder(**settings: Any) -> Any:
    """Create a pocketsphinx Decoder for 16 kHz mono; ConfigError if it is not installed."""
    try:
        import pocketsphinx
    except ImportError as error:
        raise ConfigError(
            f"pocketsphinx is missing ({error}): pip install 'emage-live[text]'"
        ) from error
    return pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **settings)
