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


class FakePortAudio:
    """Replaces sounddevice with a fixed list of devices: name and number of input channels."""

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
    fake = FakePortAudio(("Speaker", 0), ("Built-in", 2), ("USB Mic 100", 1), ("USB Mic 10", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
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
def test_an_unknown_device_lists_the_microphones(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str, why: str
) -> None:
    fake = FakePortAudio(("Speaker", 0), ("Built-in", 2), ("USB\nMic", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
    message = rf"{why}; choose one of these: 1 \(Built-in\), 2 \(USB Mic\)$"
    with pytest.raises(AudioDeviceError, match=message):
        find_device(wanted)


def test_an_ambiguous_name_lists_the_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio(("USB Mic 1", 1), ("USB Mic 2", 1), ("Built-in", 1))
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
    with pytest.raises(AudioDeviceError, match=r"several .* 0 \(USB Mic 1\), 1 \(USB Mic 2\);"):
        find_device("usb")


def test_a_truncated_duplicate_name_is_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Microphone (A long name of a device)"
    fake = FakePortAudio(("Speaker", 0), (name[:31], 2), (name, 2))
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
    assert find_device("microphone").index == 1


@pytest.mark.parametrize(
    "failure", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), OSError("no"), KeyError("x")]
)
def test_failures_to_list_devices_are_one_error(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    class Broken(FakePortAudio):
        def query_devices(self) -> list[dict[str, object]]:
            raise failure

    monkeypatch.setattr(device_module, "portaudio", Broken)
    for call in (list_devices, lambda: find_device(None)):
        with pytest.raises(AudioDeviceError, match=f"cannot list.*{type(failure).__name__}"):
            call()


def test_failures_to_initialise_portaudio_are_one_error(
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
def test_undecodable_device_names_are_listed(tmp_path: Path) -> None:
    """Uses a real ALSA device, whose name may be any bytes."""
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


def test_no_microphone_suggests_other_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "portaudio", lambda: FakePortAudio(("Speaker", 0)))
    assert list_devices() == []
    with pytest.raises(AudioDeviceError, match=r"no microphone.*--wav FILE or --stdin"):
        find_device(None)


class CountsRestarts:
    """Replaces sounddevice; counts how often PortAudio is restarted."""

    def __init__(self) -> None:
        self.restarts = 0
        self._exit_handler = lambda: None

    def _terminate(self) -> None:
        self.restarts += 1

    def _initialize(self) -> None: ...


class Stream:
    closed = False


def test_portaudio_is_not_restarted_while_a_stream_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, stream = CountsRestarts(), Stream()
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
    assert opened(stream) is stream
    rescan()
    assert fake.restarts == 0
    stream.closed = True
    rescan()
    assert fake.restarts == 1


def test_portaudio_is_not_restarted_after_a_stuck_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = CountsRestarts()
    monkeypatch.setattr(device_module, "portaudio", lambda: fake)
    monkeypatch.setattr(device_module, "_STUCK", [])
    give_up(Stream())
    rescan()
    assert fake.restarts == 0


def test_a_failed_restart_of_portaudio_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(CountsRestarts):
        def _initialize(self) -> None:
            raise OSError("no sound server")

    monkeypatch.setattr(device_module, "portaudio", Gone)
    with pytest.raises(AudioDeviceError, match=r"does not start.*no sound server"):
        rescan()
