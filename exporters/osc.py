"""Open Sound Control 1.0: encoding of messages and bundles.

Only the argument types i f s b T F, because a common Unity receiver drops the whole stream at any
other.
"""

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from engine.errors import ConfigError

Argument: TypeAlias = int | float | str | bytes | bool

BUNDLE_TAG: Final = b"#bundle\0"
IMMEDIATELY: Final = b"\0\0\0\0\0\0\0\x01"
BUNDLE_HEADER: Final = BUNDLE_TAG + IMMEDIATELY
SIZE_BYTES: Final = 4


def encode_message(address: str, *arguments: Argument) -> bytes:
    """One message; ConfigError for an address without a slash or an argument of another type."""
    if not address.startswith("/"):
        raise ConfigError(f"an OSC address begins with '/', got {address!r}")
    encoded = [_encode_argument(argument) for argument in arguments]
    tags = "," + "".join(tag for tag, _ in encoded)
    return _string(address) + _string(tags) + b"".join(data for _, data in encoded)


def encode_bundle(elements: Sequence[bytes]) -> bytes:
    """A bundle of encoded messages or bundles, with immediate effect."""
    sized = [struct.pack(">i", len(element)) + element for element in elements]
    return BUNDLE_HEADER + b"".join(sized)


def _encode_argument(argument: Argument) -> tuple[str, bytes]:
    match argument:
        case bool():  # before int, of which it is a kind
            return ("T" if argument else "F"), b""
        case int():
            if not -(2**31) <= argument < 2**31:
                raise ConfigError(f"an OSC integer has 32 bits, got {argument}")
            return "i", struct.pack(">i", argument)
        case float():
            return "f", struct.pack(">f", argument)
        case str():
            return "s", _string(argument)
        case bytes():
            return "b", struct.pack(">i", len(argument)) + argument + bytes(-len(argument) % 4)
    raise ConfigError(f"OSC arguments are int, float, str, bytes or bool, got {type(argument)}")


def _string(text: str) -> bytes:
    data = text.encode()
    if b"\0" in data:
        raise ConfigError(f"an OSC string cannot hold a zero byte, got {text!r}")
    return data + bytes(4 - len(data) % 4)
