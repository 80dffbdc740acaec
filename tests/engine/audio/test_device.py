import os
import subprocess
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
    ("wanted", "index"),
    [(None, 1), (2, 2), ("2", 2), ("usb mic 100", 2), ("USB mic 10", 3), ("Built", 1)],
)
def test_devices_are_found(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str | None, index: int
) -> None:
    machine = Machine(("Speaker", 0), ("Built-in", 2), ("USB Mic 100", 1), ("USB Mic 10", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    assert find_device(wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (0, r"device 0 \(Speaker\) has no input"),
        (9, "no microphone 9"),
        (-1, "no microphone -1"),
        ("-1", "no microphone '-1'"),
        ("9", "no microphone '9'"),
        ("²", "no microphone '²'"),
        ("bluetooth", "no microphone 'bluetooth'"),
    ],
)
def test_an_unknown_device_gives_the_list(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str, why: str
) -> None:
    machine = Machine(("Speaker", 0), ("Built-in", 2), ("USB\nMic", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    wish = rf"{why}; choose one of these: 1 \(Built-in\), 2 \(USB Mic\)$"
    with pytest.raises(AudioDeviceError, match=wish):
        find_device(wanted)


def test_a_name_of_several_devices_gives_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(("USB Mic 1", 1), ("USB Mic 2", 1), ("Built-in", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    with pytest.raises(AudioDeviceError, match=r"several .* 0 \(USB Mic 1\), 1 \(USB Mic 2\);"):
        find_device("usb")


def test_a_device_that_is_listed_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Microphone (A long name of a device)"
    machine = Machine(("Speaker", 0), (name[:31], 2), (name, 2))
    monkeypatch.setattr(device_module, "portaudio", lambda: machine)
    assert find_device("microphone").index == 1


@pytest.mark.parametrize(
    "failure", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), OSError("no"), KeyError("x")]
)
def test_whatever_a_listing_raises_is_one_error(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    class Broken(Machine):
        def query_devices(self) -> list[dict[str, object]]:
            raise failure

    monkeypatch.setattr(device_module, "portaudio", Broken)
    for call in (list_devices, lambda: find_device(None)):
        with pytest.raises(AudioDeviceError, match=f"cannot list.*{type(failure).__name__}"):
            call()


def test_whatever_portaudio_raises_when_it_begins_is_one_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise RuntimeError('Error initializing PortAudio')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AudioDeviceError, match=r"does not start.*Error initializing PortAudio"):
        list_devices()


_ODD_NAME = b"""
pcm.caf\xe9 { type null hint { show on description "caf\xe9" } }
"""


@pytest.mark.audio_device
def test_a_name_that_cannot_be_decoded_is_shown(tmp_path: Path) -> None:
    """A real device: ALSA takes any bytes as a name."""
    (tmp_path / ".asoundrc").write_bytes(_ODD_NAME)
    program = "from engine.audio.device import list_devices; print(*list_devices(), sep='\\n')"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "caf\N{REPLACEMENT CHARACTER}" in result.stdout


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


def test_portaudio_that_does_not_begin_again_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Sound):
        def _initialize(self) -> None:
            raise OSError("no sound server")

    monkeypatch.setattr(device_module, "portaudio", Gone)
    with pytest.raises(AudioDeviceError, match=r"does not start.*no sound server"):
        rescan()
