"""Network addresses as people type them: HOST:PORT, :PORT, PORT, [IPv6]:PORT.

Knows no sockets and resolves no names. What names no host means this machine alone.
"""

from typing import NamedTuple

from engine.errors import ConfigError

LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """A host name or literal and a port, 0 meaning any free one."""

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
        if not bracket or not rest.startswith(":") or ":" not in host:
            raise _refused(original, "an IPv6 address in brackets is followed by a colon and port")
        return host, rest[1:]
    host, colon, port = text.rpartition(":")
    if ":" in host:
        raise _refused(original, "an IPv6 address must stand in brackets")
    if any(c.isspace() or c in "/[]@" for c in host):
        raise _refused(original, f"{host!r} is not a host name")
    return (host, port) if colon else ("", text)


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"expected HOST:PORT, :PORT, PORT or [IPv6]:PORT, got {text!r}: {why}")
