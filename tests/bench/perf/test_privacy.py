"""The privacy check finds look-ups, connections and files; every command passes it."""

import sys
from pathlib import Path

import pytest

from bench.perf.privacy import command_lines, contacts_of, watch

_LINES = (
    'connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.1")}, 16) = 0',
    'connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
    'sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("8.8.8.8")})',
    "connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH',
    'connect(3, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = -1',
)
_HARMLESS = (
    'connect(3, {sa_family=AF_INET, sin_port=htons(8765), sin_addr=inet_addr("127.0.0.1")}) = 0',
    "connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
    'connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT',
    "sendto(3, [{nlmsg_len=20}], 20, 0, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 20",
)


def test_remote_and_local_contacts_are_separated() -> None:
    assert contacts_of("\n".join((*_LINES, *_HARMLESS))) == _LINES


_LOOK_UP = """
import pathlib, socket
try:
    socket.getaddrinfo("www.example.com", 443)
except OSError:
    pass
(pathlib.Path.home() / "identifier").write_text("x")
"""


@pytest.mark.strace
def test_a_lookup_and_a_file_are_found() -> None:
    found = watch([sys.executable, "-c", _LOOK_UP])
    assert found.status == 0, found.output
    assert any("htons(53)" in line or "resolve" in line for line in found.contacts)
    assert found.files == ("identifier",)
    assert not found.clean


@pytest.mark.strace
def test_local_connections_are_clean() -> None:
    code = "import socket; socket.create_server(('localhost', 0))"
    assert watch([sys.executable, "-c", code]).clean


# Commands that compile or calibrate take minutes; `emage-bench privacy` runs all.
QUICK = (
    *("emage-live --kernel eager", "emage-live --kernel auto"),
    *("emage-live --mic (no such device)", "emage-render", "emage-bundle", "emage-train"),
)


def test_the_quick_commands_are_some_of_all() -> None:
    assert set(QUICK) < set(command_lines(Path()))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.strace
@pytest.mark.parametrize("name", QUICK)
def test_a_command_stays_private(name: str, tmp_path: Path, root: Path) -> None:
    command = command_lines(tmp_path)[name]
    found = watch(command, {"PYTHONPATH": str(root)})
    assert "Traceback" not in found.output
    assert found.status == (2 if "no such device" in name else 0), found.output
    assert found.contacts == ()
    assert found.files == ()
