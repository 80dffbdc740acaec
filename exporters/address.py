"""Network addresses as users type them: HOST:PORT, :PORT, PORT, [IPv6]:PORT.

Parses text only; no sockets, no name resolution. Without a host: this machine.
"""

import ipaddress
import re
from typing import Final, NamedTuple

from engine.errors import ConfigError

LOOPBACK = "127.0.0.1"
_LABEL: Final = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
)  # RFC 1035, section 2.3.4
_LONGEST: Final = 253


class Address(NamedTuple):
    """A host name or literal and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read HOST:PORT, :PORT, PORT or [IPv6]:PORT; ConfigError for anything else."""
    host, port = _split(text.strip(), text)
    # str.isdigit also accepts digits of other scripts, and int() accepts "1_0" and "+1".
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise _refused(text, f"{port!r} is not a port (0 to 65535)")
    return Address(host or LOOPBACK, int(port))


def _split(text: str, original: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise _refused(original, "an IPv6 address in brackets is followed by a colon and port")
        if not _is_ipv6(host):
            raise _refused(original, f"{host!r} is not an IPv6 address")
        return host, rest[1:]
    host, colon, port = text.rpartition(":")
    if ":" in host:
        raise _refused(original, "an IPv6 address must stand in brackets")
    if host and (why := host_fault(host)):
        raise _refused(original, why)
    return (host, port) if colon else ("", text)


def parse_host(text: str) -> str:
    """A host's name or number alone; ConfigError for anything else."""
    host = text.strip().removeprefix("[").removesuffix("]")
    if not _is_ipv6(host) and (why := host_fault(host)):
        raise ConfigError(f"expected a host's name or number, got {text!r}: {why}")
    return host


def host_fault(host: str) -> str | None:
    """The reason why `host` is no host name or IPv4 number; None if it is one."""
    shown = host if len(host) <= 40 else f"{host[:40]}..."
    try:
        # A name in another script is resolved in this form (RFC 3490), which can be too long as
        # well.
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return f"{shown!r} is not a host name"
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        return (
            f"{shown!r} is not a host name: its parts have 1 to 63 letters, digits or hyphens, "
            f"all of it at most {_LONGEST}"
        )
    if all(label.isdigit() for label in labels) and not _is_ipv4(name):
        return f"{shown!r} is not an IPv4 address"
    return None


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"expected HOST:PORT, :PORT, PORT or [IPv6]:PORT, got {text!r}: {why}")
