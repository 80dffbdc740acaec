"""Virtual sound card: a private PulseAudio server.

Its microphone is the monitor of its loudspeaker. The machine's own audio configuration is not
changed. Needs pulseaudio, pactl and paplay.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from engine.errors import AudioDeviceError

_PROGRAMS: Final = ("pulseaudio", "pactl", "paplay")
_MODULES: Final = (
    "module-null-sink sink_name=vspk rate=48000 channels=1 format=s16le norewinds=1",
    "module-null-sink sink_name=other rate=44100 channels=2 format=s16le norewinds=1",
)


class VirtualSoundCard:
    """PulseAudio server in `folder`; programs use it with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {
            "PULSE_SERVER": f"unix:{folder / 'native'}",
            "PULSE_SINK": "vspk",
            "PULSE_SOURCE": "vspk.monitor",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it responds; raises AudioDeviceError."""
        for program in _PROGRAMS:
            if shutil.which(program) is None:
                raise AudioDeviceError(
                    f"a virtual sound card needs {program}; on Debian or Ubuntu run: "
                    "apt install pulseaudio pulseaudio-utils libasound2-plugins"
                )
        socket = self._folder / "native"
        modules = (f"module-native-protocol-unix auth-anonymous=1 socket={socket}", *_MODULES)
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--realtime=no"]
        command += ["--high-priority=no", "--use-pid-file=no"]
        command += [part for module in modules for part in ("-L", module)]
        home = {"XDG_RUNTIME_DIR": str(self._folder), "HOME": str(self._folder)}
        self._process = subprocess.Popen(
            command,
            env=os.environ | home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            if self._control("info").returncode == 0:
                return
            try:
                self._process.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                continue
        self.stop()
        raise AudioDeviceError("PulseAudio does not start here; run pulseaudio -n -vvv to see why")

    def stop(self) -> None:
        """Kill the server, like unplugging the device. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            (self._folder / "native").unlink(missing_ok=True)

    def play(self, path: Path) -> "subprocess.Popen[bytes]":
        """Start playback of a file; `wait` for it or `terminate` it."""
        return subprocess.Popen(["paplay", str(path)], env=os.environ | self.environment)

    def _control(self, *words: str) -> "subprocess.CompletedProcess[bytes]":
        environment = os.environ | self.environment
        return subprocess.run(["pactl", *words], env=environment, capture_output=True, check=False)
