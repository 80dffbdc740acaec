"""Counter-based random numbers for post-processing.

A draw depends only on seed, stream and index, and not on how the audio is split into blocks, on a
restart or on a snapshot.
"""

from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """Independent streams of random numbers. `engine.generate.sampling` uses stream 0."""

    BLINK = 1
    PHRASE_END = 2
    GAZE_SHIFT = 3
    GAZE_AT_PHRASE = 4
    CHEST = 5
    CHEST_FAST = 6
    HEAD = 7
    HEAD_FAST = 8
    BREATH = 9


def counter_rng(seed: int, stream: RandomStream, index: int) -> np.random.Generator:
    """Return the generator of one draw; index: frame or knot number, from -1."""
    counter = [0, 0, int(stream), index + 1]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))
