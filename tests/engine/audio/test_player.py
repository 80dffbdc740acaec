"""Player: what the loudspeaker is given at which time. PortAudio itself is tried on a real card."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.audio import player as module
from engine.audio.player import Player
from engine.errors import AudioDeviceError
from tests.support.audio import babble, sine


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


class Loudspeaker:
    """Stands for sounddevice: takes one format only and is asked for a second of sound."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate: int, channels: int) -> None:
        self._format = (rate, channels)
        self.ask = lambda frames: np.zeros(0)

    def OutputStream(self, samplerate, channels, callback, **_):  # noqa: N802
        if (samplerate, channels) != self._format:
            raise self.PortAudioError("Invalid sample rate")

        def ask(frames: int) -> np.ndarray:
            out = np.zeros((frames, channels), np.float32)
            times = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
            callback(out, frames, times, None)
            return out

        self.ask = ask
        return type("Stream", (), {"start": lambda self: None, "closed": False})()


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 1), (16000, 1)])
def test_a_loudspeaker_that_takes_one_rate_only(
    monkeypatch: pytest.MonkeyPatch, rate: int, channels: int
) -> None:
    card = Loudspeaker(rate, channels)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.0)
    player.take(0, sine(440, 2.0, 16000))
    pieces = []
    for _ in range(100):
        pieces.append(card.ask(rate // 100))
        now[0] += rate // 100 / rate
    heard = np.concatenate(pieces)
    assert (heard == heard[:, :1]).all()
    np.testing.assert_allclose(heard[:, 0], sine(440, 2.0, rate)[: len(heard)], atol=0.01)


def test_no_loudspeaker_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Loudspeaker(12345, 1))
    with pytest.raises(AudioDeviceError, match=r"Invalid sample rate; tried 16000, 48000"):
        Player(lambda _: 0.0, delay_s=lambda: 0.0)
