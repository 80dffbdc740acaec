"""Audio input: sources, resampling, the voice gate and the causal features."""

from typing import Final

SAMPLE_RATE: Final = 16000
"""Sample rate of all audio inside the project, hertz."""
