"""A name with addresses of both families resolves to its IPv4 ones."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exporters.address import Address
from exporters.hosts import look_up


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", (socket.AF_INET, "127.0.0.1")),
        ("::1", (socket.AF_INET6, "::1")),
        ("0.0.0.0", (socket.AF_INET, "0.0.0.0")),
    ],
)
def test_a_number_resolves_to_itself(host: str, expected: tuple[int, str]) -> None:
    assert look_up(Address(host, 80), socket.SOCK_DGRAM) == [expected]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "b" * 70 + ".local", "my..host"])
def test_an_unknown_name_is_an_oserror(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        look_up(Address(host, 80), socket.SOCK_STREAM)


_LOOK_UP = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from exporters.address import Address
from exporters.hosts import look_up
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    print(look_up(Address("twofold", 80), kind)[0][1])
"""


@pytest.mark.root
@pytest.mark.linux
@pytest.mark.mounts
def test_ipv4_is_preferred_to_ipv6(tmp_path: Path, root: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 twofold\n127.0.0.1 twofold\n")
    # A file system of its own with another hosts table.
    inside = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    found = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", sys.executable, "-c", _LOOK_UP, str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["127.0.0.1", "127.0.0.1"]
