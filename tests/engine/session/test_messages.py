"""Messages: audio without a capture time has NaN; words are a tuple."""

import math

import numpy as np

from engine.session.messages import AudioIn, Cancel, End, WordsIn
from engine.text.words import TimedWord


def test_messages_hold_their_values() -> None:
    audio = AudioIn(np.zeros(3, np.float32))
    assert math.isnan(audio.captured_at)
    assert AudioIn(audio.samples, 1.5).captured_at == 1.5
    words = (TimedWord("hello", 0.0, 0.5),)
    assert WordsIn(words).words is words
    assert Cancel() == Cancel()
    assert Cancel() != End()
