"""Sound devices by PortAudio: what there is, and the one import of sounddevice.

Whoever opens a stream, in or out, passes it through `opened`, so that `rescan` never pulls
PortAudio away from under it. Knows nothing of what is recorded or played.
"""

import atexit
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

from engine.errors import AudioDeviceError

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
    """The microphones there are, possibly none. Raises AudioDeviceError without PortAudio."""
    sound = portaudio()
    default = sound.default.device[0]
    return [
        InputDevice(
            index,
            str(device["name"]),
            int(device["max_input_channels"]),
            int(device["default_samplerate"]),
            index == default,
        )
        for index, device in enumerate(sound.query_devices())
        if device["max_input_channels"] > 0
    ]


def opened(stream: Any) -> Any:
    """Note that a stream is in use until it is closed; gives it back."""
    _STREAMS.add(stream)
    return stream


def give_up(stream: Any) -> None:
    """Leave a stream that does not come back from PortAudio alone, also when the program ends.

    Ending PortAudio would wait for it; so it is neither ended nor begun anew from here on.
    """
    _STUCK.append(stream)
    atexit.unregister(portaudio()._exit_handler)


def rescan() -> None:
    """Look for devices that came or went: PortAudio keeps the list it made when it began.

    Beginning anew would end every stream, so nothing is done while one is open.
    """
    if not _STUCK and all(stream.closed for stream in _STREAMS):
        sound = portaudio()
        sound._terminate()
        sound._initialize()


def portaudio() -> Any:
    """The module sounddevice. Raises AudioDeviceError saying what to install if it is missing."""
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
    return sounddevice


def find_device(wanted: int | str | None) -> InputDevice:
    """The default (None), an index, or the first whose name contains the text.

    Raises AudioDeviceError with the list of what there is.
    """
    devices = list_devices()
    if not devices:
        raise AudioDeviceError(
            "this machine has no microphone that the sound system knows; plug one in and check the "
            "system's sound settings, or use --wav FILE or --stdin"
        )
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    if isinstance(wanted, int) or wanted.isdigit():
        found = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name.lower() == wanted.lower()]
        found = exact or [d for d in devices if wanted.lower() in d.name.lower()]
    if not found:
        listing = "\n".join(map(str, devices))
        raise AudioDeviceError(f"no microphone {wanted!r}; choose one of these:\n{listing}")
    return found[0]
