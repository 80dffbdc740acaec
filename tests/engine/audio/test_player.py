"""Player: what the loudspeaker is given at which time. PortAudio itself is tried on a real card."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.audio import player as module
from engine.audio.player import Player
from tests.sounds import babble


class Card:
    """Stands for PortAudio's clock and buffer; the sound it is given can be read back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(Player, "_open", lambda _: SimpleNamespace())
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def ask(self, player: Player, frames: int, ahead_s: float = 0.02) -> np.ndarray:
        out = np.zeros((frames, 1), np.float32)
        times = SimpleNamespace(outputBufferDacTime=5.0 + ahead_s, currentTime=5.0)
        player._fill(out, frames, times, None)
        self.now += frames / 16000
        return out[:, 0]


def test_sound_is_played_delayed_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.1)
    sound = babble(1.0)
    player.take(0, sound)
    heard = np.concatenate([card.ask(player, 160) for _ in range(100)])
    start = int(0.08 * 16000)  # asked 20 ms ahead of a delay of 100 ms
    assert not heard[: start - 1].any()
    np.testing.assert_array_equal(heard[start : start + 8000], sound[:8000])
    offset = player.offset_ms()
    assert offset is not None
    assert offset["max"] < 1.0


def test_a_jump_of_the_clock_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.0)
    sound = babble(2.0)
    player.take(0, sound)
    card.ask(player, 160)
    card.now += 0.5
    heard = card.ask(player, 160)
    where = int((0.01 + 0.5 + 0.02) * 16000)
    np.testing.assert_array_equal(heard, sound[where : where + 160])


def test_before_the_stream_begins_there_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    player = Player(lambda _: float("nan"), delay_s=lambda: 0.1)
    assert not card.ask(player, 160).any()
