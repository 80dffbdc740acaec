"""QueueSource outputs pushed audio once and in order, with silence in gaps; bounded, clearable."""

from itertools import islice

import numpy as np
import pytest

from engine.audio.queue import QueueSource
from engine.errors import ConfigError
from engine.events import EventCounter
from tests.support.audio import babble


def taken(source: QueueSource, blocks: int) -> np.ndarray:
    return np.concatenate([block.samples for block in islice(source.blocks(), blocks)])


def test_pushed_audio_is_output_in_order_then_silence() -> None:
    source = QueueSource(EventCounter())
    sound = babble(0.5)
    for start in range(0, len(sound), 777):
        source.push(sound[start : start + 777])
    assert source.waiting == len(sound)
    output = taken(source, 60)
    np.testing.assert_array_equal(output[: len(sound)], sound)
    assert not output[len(sound) :].any()
    assert source.waiting == 0


def test_other_rates_are_resampled_completely() -> None:
    source = QueueSource(EventCounter())
    source.push(babble(1.0, 24000), 24000)
    source.end()
    assert source.waiting == 16000


def test_clear_drops_queued_audio() -> None:
    source = QueueSource(EventCounter())
    source.push(babble(1.0))
    source.clear()
    assert not taken(source, 10).any()


def test_an_utterance_starts_after_the_queued_audio() -> None:
    source = QueueSource(EventCounter())
    taken(source, 100)
    source.push(babble(2.0))
    assert source.utterance_start_s() == pytest.approx(1.0)
    taken(source, 50)
    assert source.utterance_start_s() == pytest.approx(1.0)
    source.end()
    assert source.utterance_start_s() == pytest.approx(3.0)


def test_the_queue_holds_at_most_ten_minutes() -> None:
    source = QueueSource(EventCounter())
    minute = np.zeros(60 * 16000, np.float32)
    for _ in range(10):
        source.push(minute)
    with pytest.raises(ConfigError, match="ten minutes"):
        source.push(minute)
    assert source.waiting == 10 * 60 * 16000


def test_close_ends_the_blocks() -> None:
    source = QueueSource(EventCounter())
    source.close()
    assert list(source.blocks()) == []
