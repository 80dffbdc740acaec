"""SessionControl: permitted actions of clients, and refusals."""

import pytest

from engine.audio.queue import QueueSource
from engine.audio.source import WavSource
from engine.bundle.io import DEMO_SOUND
from engine.errors import ConfigError
from engine.events import EventCounter
from engine.text.words import TimedWord
from exporters.commands.control import SessionControl
from tests.support.audio import babble


class Session:
    def __init__(self) -> None:
        self.words: list[TimedWord] = []
        self.cancelled = 0

    def push_words(self, words: list[TimedWord]) -> None:
        self.words += words

    def cancel(self) -> None:
        self.cancelled += 1


def test_words_of_pushed_sound_count_from_its_first_sample() -> None:
    source, session = QueueSource(EventCounter()), Session()
    control = SessionControl(source, "--ws")
    control.session = session  # type: ignore[assignment]
    next(source.blocks())
    control.push_audio(babble(1.0), 16000)
    control.push_words([TimedWord("yes", 0.5, 0.75)])
    assert session.words == [TimedWord("yes", 0.51, 0.76)]
    control.cancel()
    control.reset()
    assert session.cancelled == 2


def test_sound_from_elsewhere_is_refused_by_name() -> None:
    control = SessionControl(WavSource(DEMO_SOUND), "--wav")
    with pytest.raises(ConfigError, match="--wav"):
        control.push_audio(babble(0.1), 16000)


def test_before_the_session_exists_clients_wait() -> None:
    control = SessionControl(QueueSource(EventCounter()), "--ws")
    with pytest.raises(ConfigError, match="starting"):
        control.cancel()
