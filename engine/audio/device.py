"""Sound devices by PortAudio: the list of devices, and the only import of sounddevice.

Every stream, input or output, is registered by `opened`, so that `rescan` never stops PortAudio
while one is open.
"""

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

from engine.errors import AudioDeviceError

_CUT_NAME: Final = 31
_STREAMS: Final[WeakSet[Any]] = WeakSet()
_STUCK: Final[list[Any]] = []  # kept from being collected


@dataclass(frozen=True)
class InputDevice:
    """A microphone as the sound system names it."""

    index: int
    name: str
    channels: int
    rate: int
    default: bool

    def __str__(self) -> str:
        star = "*" if self.default else " "
        return f"{star} {self.index:3d}  {self.name}  ({self.channels} channels, {self.rate} Hz)"


def list_devices() -> list[InputDevice]:
    """The microphones, possibly none. Raises AudioDeviceError if the list cannot be read."""
    return [device for device in _all_devices() if device.channels > 0]


def _all_devices() -> list[InputDevice]:
    """Every device, with 0 channels where it only plays."""
    sound = portaudio()
    # PortAudio and its drivers fail in many ways: also by names that cannot be decoded.
    try:
        default = sound.default.device[0]
        return [
            InputDevice(
                index,
                " ".join(str(device["name"]).split()),
                int(device["max_input_channels"]),
                int(device["default_samplerate"]),
                index == default,
            )
            for index, device in enumerate(_queried(sound))
        ]
    except Exception as error:
        raise AudioDeviceError(
            f"the sound system cannot list its devices ({_in_a_line(error)}); check its settings, "
            "or use --wav FILE or --stdin"
        ) from error


def _queried(sound: Any) -> Sequence[Mapping[str, Any]]:
    """PortAudio's description of every device; bytes of a name that are not UTF-8 are replaced."""
    try:
        return list(sound.query_devices())
    except UnicodeDecodeError:
        library = getattr(sound, "_lib", None)
        if library is None:
            raise
    infos = [library.Pa_GetDeviceInfo(index) for index in range(library.Pa_GetDeviceCount())]
    return [
        {
            "name": sound._ffi.string(info.name).decode(errors="replace"),
            "max_input_channels": info.maxInputChannels,
            "default_samplerate": info.defaultSampleRate,
        }
        for info in infos
    ]


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def opened(stream: Any) -> Any:
    """Register a stream as in use until it is closed; returns it."""
    _STREAMS.add(stream)
    return stream


def give_up(stream: Any) -> None:
    """Mark a stream that PortAudio does not release, also for the end of the program.

    PortAudio would wait for it when it ends; so PortAudio is not ended or restarted from here on.
    """
    _STUCK.append(stream)
    atexit.unregister(portaudio()._exit_handler)


def rescan() -> None:
    """Update the device list, which PortAudio makes only when it starts.

    A restart would end every open stream, so nothing is done while one is open. Raises
    AudioDeviceError if PortAudio does not start.
    """
    if _STUCK or not all(stream.closed for stream in _STREAMS):
        return
    sound = portaudio()
    try:
        if getattr(sound, "_initialized", 1):
            sound._terminate()
        sound._initialize()
    except Exception as error:
        raise AudioDeviceError(
            f"the sound system does not start ({_in_a_line(error)}); check its settings"
        ) from error


def portaudio() -> Any:
    """The module sounddevice. Raises AudioDeviceError with the install command if it is missing."""
    try:
        import sounddevice
    except ImportError as error:
        raise AudioDeviceError(
            "a microphone needs the package sounddevice; run: pip install 'emage-live[mic]'"
        ) from error
    except OSError as error:
        raise AudioDeviceError(
            "sounddevice found no PortAudio library; on Debian or Ubuntu run: "
            f"apt install libportaudio2 ({error})"
        ) from error
    except Exception as error:
        raise AudioDeviceError(
            f"the sound system does not start ({_in_a_line(error)}); check its settings, or use "
            "--wav FILE or --stdin"
        ) from error
    return sounddevice


def find_device(wanted: int | str | None) -> InputDevice:
    """The default (None), an index, or the device whose name is or contains the text.

    Raises AudioDeviceError with the list of devices.
    """
    everything = _all_devices()
    devices = [device for device in everything if device.channels > 0]
    if not devices:
        raise AudioDeviceError(
            "this machine has no microphone that the sound system knows; plug one in and check the "
            "system's sound settings, or use --wav FILE or --stdin"
        )
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    index = _index(wanted)
    if index is not None:
        found = [device for device in devices if device.index == index]
    else:
        exact = [device for device in devices if device.name.lower() == str(wanted).lower()]
        found = exact or [d for d in devices if str(wanted).lower() in d.name.lower()]
    if found and _are_one(found):
        return found[0]
    if found:
        raise AudioDeviceError(
            f"several microphones match {wanted!r}: {_listed(found)}; give more of the name, or "
            "the number"
        )
    silent = next((device.name for device in everything if device.index == index), None)
    which = (
        f"no microphone {wanted!r}" if silent is None else f"device {index} ({silent}) has no input"
    )
    raise AudioDeviceError(f"{which}; choose one of these: {_listed(devices)}")


def _index(wanted: int | str) -> int | None:
    """The number in a text; None for a name."""
    try:
        return int(wanted)
    except ValueError:
        return None


def _are_one(found: list[InputDevice]) -> bool:
    """Whether all entries are one device, which Windows lists once per sound system.

    The oldest of these cuts names at 31 characters.
    """
    return len({device.name[:_CUT_NAME] for device in found}) == 1


def _listed(devices: list[InputDevice]) -> str:
    return ", ".join(f"{device.index} ({device.name})" for device in devices)
