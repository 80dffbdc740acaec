"""Origins of web pages (RFC 6454), as browsers send them and as users type them.

A browser sends scheme, host and port in lower case, without the scheme's default port and without a
path; pages without an origin (files, sandboxed frames) send "null".
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigError
from exporters.address import host_fault

NULL: Final = "null"
_USUAL_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")


def parse_origin(text: str) -> str:
    """The origin as a browser sends it; ConfigError for anything else."""
    given = text.strip()
    if given.lower() == NULL:
        return NULL
    try:
        parts = urlsplit(given)
        port, host = parts.port, _host(parts.hostname or "")
    except (ValueError, UnicodeError) as error:
        raise _refused(text, str(error)) from error
    if "://" not in given or not host:
        raise _refused(text, "scheme or host is missing")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise _refused(text, "an origin has neither a path nor a user")
    shown = "" if port in (None, _USUAL_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def same_origin(text: str) -> str | None:
    """The same for received text: None instead of an error."""
    try:
        return parse_origin(text)
    except ConfigError:
        return None


def is_loopback(origin: str) -> bool:
    """Whether a page of a normalised origin was served by this machine."""
    if not origin.startswith(("http://", "https://")):
        return False
    return urlsplit(origin).hostname in _LOOPBACK_HOSTS


def _host(name: str) -> str:
    """The host in small letters, other scripts in ASCII, IPv6 compressed and in brackets."""
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name).compressed}]"
    if name and (why := host_fault(name)):
        raise ValueError(why)
    return name if name.isascii() else name.encode("idna").decode()


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"expected the origin of a page, as in https://example.org or null, got {text!r}: {why}"
    )
