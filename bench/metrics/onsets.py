"""Audio onsets of the published beat constancy: librosa's, over the whole file.

The only module that imports librosa; live code does not use it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.metrics.beats import CUT_FRAMES
from engine.audio import SAMPLE_RATE
from engine.audio.source import WavSource
from engine.clock import FrameClock
from engine.errors import ConfigError

_HOP = 512


def take_sound(path: Path) -> NDArray[np.float32]:
    """Mono samples of a sound file at 16 kHz; raises AudioError."""
    return np.concatenate([block.samples for block in WavSource(path, block=SAMPLE_RATE).blocks()])


def onset_times(sound: NDArray[np.float32], frames: int, clock: FrameClock) -> NDArray[np.float64]:
    """Onsets (s, from the cut) of the sound without CUT_FRAMES frames at both ends.

    The sound is cut before detection, as in the authors' code: samples beyond `frames` frames are
    dropped, but the cut at the end counts from the end of the whole sound. ConfigError without
    librosa.
    """
    try:
        from librosa.onset import onset_detect
    except ImportError as error:
        raise ConfigError(
            "beat constancy needs librosa, which is not installed; run: pip install librosa"
        ) from error
    cut = clock.first_sample(CUT_FRAMES)
    last = min(clock.first_sample(frames), len(sound) - cut)
    inner = sound[cut : max(last, cut)]
    if len(inner) < _HOP:
        return np.zeros(0)
    found = onset_detect(y=inner, sr=clock.sample_rate, hop_length=_HOP, units="time")
    return np.asarray(found, np.float64)
