"""The one place that loads pocketsphinx: a small recogniser that runs on any CPU.

Gives its decoder for 16 kHz mono, quiet and with the English model that comes with the package.
What is decoded with it is not known here.
"""

from typing import Any

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError


def load_decoder(**settings: Any) -> Any:
    """A pocketsphinx Decoder with `settings` of its own; ConfigError where it is not installed."""
    try:
        import pocketsphinx
    except ImportError as error:
        raise ConfigError(
            f"pocketsphinx is missing ({error}): pip install 'emage-live[text]'"
        ) from error
    return pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **settings)
