import sys
from pathlib import Path

import pytest

from engine.audio import device as device_module
from engine.audio.device import find_device, give_up, list_devices, opened, rescan
from engine.errors import AudioDeviceError


def test_without_sounddevice_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioDeviceError, match=r"pip install 'emage-live\[mic\]'"):
        list_devices()


def test_without_portaudio_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AudioDeviceError, match="apt install libportaudio2"):
        list_devices()


class Machine:
    """What sounddevice says of a machine with these devices."""

    def __init__(self, *devices: tuple[str, int]) -> None:
        self.default = type("Default", (), {"device": (1, 0)})
        self._devices = [
            {"name": name, "max_input_channels": channels, "default_samplerate": 48000.0}
            for name, channels in devices
        ]

    def query_devices(self) -> list[dict[str, object]]:
        return self._devices


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 1), (2, 2), ("2", 2), ("usb", 2), ("USB mic 10", 3), ("Built", 1)]
)
def test_devices_are_found(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str | None, index: int
) -> None:
    machine = Machine(("Speaker", 0), ("Built-in", 2), ("USB Mic 100", 1), ("USB Mic 10", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    assert find_device(wanted).index == index


@pytest.mark.parametrize("wanted", [0, 9, "bluetooth"])
def test_an_unknown_device_gives_the_list(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str
) -> None:
    machine = Machine(("Speaker", 0), ("Built-in", 2), ("USB Mic", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    with pytest.raises(AudioDeviceError, match=r"(?s)choose one.*1  Built-in.*2  USB Mic"):
        find_device(wanted)


def test_a_machine_without_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "portaudio", lambda: Machine(("Speaker", 0)))
    assert list_devices() == []
    with pytest.raises(AudioDeviceError, match=r"no microphone.*--wav FILE or --stdin"):
        find_device(None)


class Sound:
    """Counts how often PortAudio was begun anew."""

    def __init__(self) -> None:
        self.begun = 0
        self._exit_handler = lambda: None

    def _terminate(self) -> None:
        self.begun += 1

    def _initialize(self) -> None: ...


class Stream:
    closed = False


def test_portaudio_is_not_begun_anew_under_an_open_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, stream = Sound(), Stream()
    monkeypatch.setattr(device_module, "portaudio", lambda: sound)
    assert opened(stream) is stream
    rescan()
    assert sound.begun == 0
    stream.closed = True
    rescan()
    assert sound.begun == 1


def test_portaudio_is_left_alone_once_a_stream_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Sound()
    monkeypatch.setattr(device_module, "portaudio", lambda: sound)
    monkeypatch.setattr(device_module, "_STUCK", [])
    give_up(Stream())
    rescan()
    assert sound.begun == 0
