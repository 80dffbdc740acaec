"""Samples and timing of the player's output; PortAudio is tested on a real card elsewhere."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.audio import player as module
from engine.audio.player import Player
from engine.errors import AudioDeviceError
from tests.support.audio import babble, sine


class FakeCard:
    """Replaces PortAudio's clock and callback; returns the samples that were played."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(Player, "_open", lambda _: SimpleNamespace())
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def pull(self, player: Player, frames: int, ahead_s: float = 0.02) -> np.ndarray:
        out = np.zeros((frames, 1), np.float32)
        times = SimpleNamespace(outputBufferDacTime=5.0 + ahead_s, currentTime=5.0)
        player._fill(out, frames, times, None)
        self.now += frames / 16000
        return out[:, 0]


def test_audio_is_played_complete_after_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(monkeypatch)
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.1)
    sound = babble(1.0)
    player.take(0, sound)
    played = np.concatenate([card.pull(player, 160) for _ in range(100)])
    start = int(0.08 * 16000)  # callback 20 ms ahead, delay 100 ms
    assert not played[: start - 1].any()
    np.testing.assert_array_equal(played[start : start + 8000], sound[:8000])
    offset = player.offset_ms()
    assert offset is not None
    assert offset["max"] < 1.0


def test_playback_follows_a_clock_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(monkeypatch)
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.0)
    sound = babble(2.0)
    player.take(0, sound)
    card.pull(player, 160)
    card.now += 0.5
    played = card.pull(player, 160)
    expected_start = int((0.01 + 0.5 + 0.02) * 16000)
    np.testing.assert_array_equal(played, sound[expected_start : expected_start + 160])


def test_silence_is_played_before_the_stream_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(monkeypatch)
    player = Player(lambda _: float("nan"), delay_s=lambda: 0.1)
    assert not card.pull(player, 160).any()


class FakeSoundDevice:
    """Replaces sounddevice; accepts one format only. `pull` requests samples."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate: int, channels: int) -> None:
        self._format = (rate, channels)
        self.pull = lambda frames: np.zeros(0)

    def OutputStream(self, samplerate, channels, callback, **_):  # noqa: N802
        if (samplerate, channels) != self._format:
            raise self.PortAudioError("Invalid sample rate")

        def pull(frames: int) -> np.ndarray:
            out = np.zeros((frames, channels), np.float32)
            times = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
            callback(out, frames, times, None)
            return out

        self.pull = pull
        return type("Stream", (), {"start": lambda self: None, "closed": False})()


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 1), (16000, 1)])
def test_audio_is_converted_to_the_format_of_the_device(
    monkeypatch: pytest.MonkeyPatch, rate: int, channels: int
) -> None:
    card = FakeSoundDevice(rate, channels)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    player = Player(lambda sample: 100.0 + sample / 16000, delay_s=lambda: 0.0)
    player.take(0, sine(440, 2.0, 16000))
    pieces = []
    for _ in range(100):
        pieces.append(card.pull(rate // 100))
        now[0] += rate // 100 / rate
    played = np.concatenate(pieces)
    assert (played == played[:, :1]).all()
    np.testing.assert_allclose(played[:, 0], sine(440, 2.0, rate)[: len(played)], atol=0.01)


def test_a_device_without_a_usable_format_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(12345, 1))
    with pytest.raises(AudioDeviceError, match=r"Invalid sample rate; tried 16000, 48000"):
        Player(lambda _: 0.0, delay_s=lambda: 0.0)
