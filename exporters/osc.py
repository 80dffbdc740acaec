"""Open Sound Control 1.0: messages and bundles as bytes, and back.

Only the argument types i f s b T F: a common Unity receiver loses the whole stream on any other.
Knows no addresses, no sockets and no clock; every bundle carries the time tag "immediately".
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from engine.errors import ConfigError, ShapeError

Argument: TypeAlias = int | float | str | bytes | bool

BUNDLE_TAG: Final = b"#bundle\0"
IMMEDIATELY: Final = b"\0\0\0\0\0\0\0\x01"
BUNDLE_HEADER: Final = BUNDLE_TAG + IMMEDIATELY
SIZE_BYTES: Final = 4
_DEEPEST: Final = 8  # bundles within bundles; deeper ones are an attack, not a performance


@dataclass(frozen=True)
class OscMessage:
    """An address and its arguments."""

    address: str
    arguments: tuple[Argument, ...]


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


def decode_packet(data: bytes) -> list[OscMessage]:
    """All messages of a packet in order, bundles opened; ShapeError for a misshapen one."""
    return _decode(data, 0)


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


def _decode(data: bytes, depth: int) -> list[OscMessage]:
    if len(data) % 4:
        raise ShapeError(f"an OSC packet's length is a multiple of 4, got {len(data)} bytes")
    if not data.startswith(BUNDLE_TAG):
        return [_decode_message(data)]
    if depth >= _DEEPEST:
        raise ShapeError(f"expected at most {_DEEPEST} bundles within one another")
    messages: list[OscMessage] = []
    position = len(BUNDLE_HEADER)
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += SIZE_BYTES
        if not 0 < size <= len(data) - position:
            raise ShapeError(f"a bundle's element claims {size} bytes at byte {position}")
        messages += _decode(data[position : position + size], depth + 1)
        position += size
    return messages


def _decode_message(data: bytes) -> OscMessage:
    address, position = _read_string(data, 0)
    if not address.startswith("/"):
        raise ShapeError(f"an OSC address begins with '/', got {address!r}")
    tags, position = _read_string(data, position)
    if not tags.startswith(","):
        raise ShapeError(f"OSC type tags begin with ',', got {tags!r}")
    arguments: list[Argument] = []
    for tag in tags[1:]:
        argument, position = _read_argument(tag, data, position)
        arguments.append(argument)
    if position != len(data):
        raise ShapeError(f"{len(data) - position} bytes too many after {address}")
    return OscMessage(address, tuple(arguments))


def _read_argument(tag: str, data: bytes, position: int) -> tuple[Argument, int]:
    if tag in "TF":
        return tag == "T", position
    if tag == "s":
        return _read_string(data, position)
    if tag not in "ifb":
        raise ShapeError(f"expected OSC types i f s b T F, got {tag!r}")
    if position + 4 > len(data):
        raise ShapeError(f"the packet ends within an argument of type {tag!r}")
    value: int | float = struct.unpack_from(">f" if tag == "f" else ">i", data, position)[0]
    position += 4
    if tag != "b":
        return value, position
    size = int(value)
    if not 0 <= size <= len(data) - position:
        raise ShapeError(f"a blob claims {size} bytes, {len(data) - position} are left")
    return data[position : position + size], position + size + -size % 4


def _read_string(data: bytes, position: int) -> tuple[str, int]:
    end = data.find(b"\0", position)
    if end < 0:
        raise ShapeError("an OSC string does not end within its packet")
    try:
        text = data[position:end].decode()
    except UnicodeDecodeError as error:
        raise ShapeError(f"an OSC string is not UTF-8: {error}") from error
    return text, (end // 4 + 1) * 4
