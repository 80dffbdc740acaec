"""Privacy check: every command line, with a fresh home folder, traced by strace.

Reports attempts to look up or contact another host, which fail silently on a machine without a
network, and files left in the home folder outside the project's cache folder.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.bundle.io import DEMO_SOUND
from engine.errors import ConfigError, GestureError
from engine.kernels.registry import KERNEL_NAMES
from engine.system.cache import APPLICATION
from exporters.commands.common import say

_TRACE: Final = (
    *("strace", "-f", "--seccomp-bpf", "-qq", "-s", "200"),
    *("-e", "trace=connect,sendto,sendmsg,sendmmsg"),
)
_SERVICES: Final = re.compile(r'sun_path="[^"]*(resolve|avahi|mdns)[^"]*"')
_PORT: Final = re.compile(r"sin6?_port=htons\((\d+)\)")
_ADDRESS: Final = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_LOCAL: Final = re.compile(r"^(127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$)")
_DNS: Final = 53
_LIMIT_S: Final = 900.0


@dataclass(frozen=True)
class Found:
    """Result of one command.

    Attributes:
        status: exit status.
        contacts: system calls that would reach another host or a name server.
        files: files left in the home folder.
        output: output of the command.

    """

    status: int
    contacts: tuple[str, ...]
    files: tuple[str, ...]
    output: str

    @property
    def clean(self) -> bool:
        """True without contacts and files."""
        return not self.contacts and not self.files


def watch(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Found:
    """Run `command` with a fresh home folder; contacts and files.

    variables: added to its environment. Raises ConfigError without strace.
    """
    if shutil.which(_TRACE[0]) is None:
        raise ConfigError("emage-bench privacy needs strace (Linux): apt install strace")
    with tempfile.TemporaryDirectory() as scratch:
        home, trace = Path(scratch) / "home", Path(scratch) / "trace"
        home.mkdir()
        environment = {k: v for k, v in os.environ.items() if not _hides(k)} | {"HOME": str(home)}
        result = subprocess.run(
            [*_TRACE, "-o", str(trace), *command],
            env=environment | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
        if not trace.is_file():
            raise ConfigError(f"strace cannot run here: {result.stdout.strip()[:200]}")
        contacts = contacts_of(trace.read_text(errors="replace"))
        return Found(result.returncode, contacts, tuple(_left(home)), result.stdout)


def _hides(variable: str) -> bool:
    """True for variables that redirect files outside the home folder or disable telemetry."""
    places = ("XDG_", "MPLCONFIGDIR", "TORCHINDUCTOR_")
    switches = ("ORT_", "RAY_", "NNCF_", "CI", "DO_NOT_TRACK", "PYTEST_")
    return variable.startswith((*places, *switches))


def contacts_of(trace: str) -> tuple[str, ...]:
    """Lines of a trace with a host beyond this machine, or a service that resolves one."""
    return tuple(dict.fromkeys(line for line in trace.splitlines() if _reaches_out(line)))


def _reaches_out(line: str) -> bool:
    if _SERVICES.search(line):
        return True
    address, port = _ADDRESS.search(line), _PORT.search(line)
    if address is None or port is None or int(port[1]) == 0:
        return False
    return int(port[1]) == _DNS or not _LOCAL.match(address[1])


def _left(home: Path) -> list[str]:
    """Files in a home folder, except the project's cache."""
    own = home / ".cache" / APPLICATION
    files = (path for path in sorted(home.rglob("*")) if not path.is_dir())
    return [str(path.relative_to(home)) for path in files if not path.is_relative_to(own)]


# -- commands ----------------------------------------------------------------------------------


def command_lines(out: Path) -> dict[str, list[str]]:
    """A short run of each command and kernel, by name; output goes to `out`."""
    live = [*_module("live"), "--demo", "--speed", "max", "--duration", "0.5"]
    lines = {f"emage-live --kernel {name}": [*live, "--kernel", name] for name in _kernels()}
    return lines | {
        "emage-live --mic (no such device)": [*_module("live"), "--mic", "no such device"],
        "emage-live --view": [*live, "--view"],
        "emage-render": [*_module("render"), _demo(), "--out", str(out)],
        "emage-bundle": [*_module("bundle"), "--help"],
        "emage-bench kernels": [
            *(sys.executable, "-m", "bench", "kernels", "--kernel", "onnx", "openvino"),
        ],
        "emage-train": [sys.executable, "-m", "training", "--help"],
    }


def _module(name: str) -> list[str]:
    code = f"import sys; from exporters.commands.{name} import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def _demo() -> str:
    return str(DEMO_SOUND)


def _kernels() -> list[str]:
    return [name for name in (*KERNEL_NAMES, "auto") if not name.startswith(("cuda", "tensor"))]


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "privacy", help="contacts and files in the home folder of each command (needs strace)"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="commands with this in the name")


def privacy_command(options: argparse.Namespace) -> int:
    """Check all commands, one line each; GestureError if one is not private."""
    bad = 0
    with tempfile.TemporaryDirectory() as out:
        for name, command in command_lines(Path(out)).items():
            if options.only not in name:
                continue
            found = watch(command)
            bad += not found.clean
            say(f"{'private' if found.clean else 'NOT PRIVATE'}: {name} (status {found.status})")
            for problem in (*found.contacts, *found.files):
                say(f"    {problem}")
    if bad:
        raise GestureError(f"{bad} commands contact other hosts or leave files, see above")
    return 0
