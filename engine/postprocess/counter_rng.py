"""Chance in what is laid over a stream: drawn by seed, purpose and place alone.

No split of the audio, no restart and no snapshot changes what is drawn at a place.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a number is drawn for. `engine.generate.sampling` draws codes at place 0 of the same
    counter.
    """

    BLINK = 1
    PHRASE_END = 2
    LOOK = 3
    LOOK_CALLED = 4
    CHEST = 5
    CHEST_QUICK = 6
    HEAD = 7
    HEAD_QUICK = 8
    BREATH = 9


def chance(seed: int, purpose: Purpose, place: int) -> np.random.Generator:
    """A generator for what is drawn at `place`, a frame or a number from -1 on."""
    counter = [0, 0, int(purpose), place + 1]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))
