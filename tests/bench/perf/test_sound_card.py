"""The virtual sound card names missing programs; with PulseAudio it starts and stops."""

from pathlib import Path

import pytest

from bench.perf import sound_card
from bench.perf.sound_card import VirtualSoundCard
from engine.errors import AudioDeviceError


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sound_card.shutil, "which", lambda name: None)
    with pytest.raises(AudioDeviceError, match="needs pulseaudio; on Debian or Ubuntu run: apt"):
        VirtualSoundCard(tmp_path).start()


def test_a_server_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pulseaudio").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pactl").write_text("#!/bin/sh\nexit 1\n")
    for name in ("pulseaudio", "pactl"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sound_card.shutil, "which", lambda name: name)
    with pytest.raises(AudioDeviceError, match="does not start here"):
        VirtualSoundCard(tmp_path).start()


@pytest.mark.audio_device
def test_a_card_can_be_stopped_twice(sound_card: VirtualSoundCard) -> None:
    assert sound_card.environment["PULSE_SERVER"].startswith("unix:")
    sound_card.stop()
    sound_card.stop()
