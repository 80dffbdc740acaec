"""Decoder of Open Sound Control 1.0 packets, to check what `exporters.osc` encodes."""

import struct
from dataclasses import dataclass
from typing import Final

from engine.errors import ShapeError
from exporters.osc import BUNDLE_HEADER, BUNDLE_TAG, SIZE_BYTES, Argument

_MAX_DEPTH: Final = 8  # of nested bundles


@dataclass(frozen=True)
class OscMessage:
    """An address and its arguments."""

    address: str
    arguments: tuple[Argument, ...]


def decode_packet(data: bytes) -> list[OscMessage]:
    """Decode all messages of a packet in order, bundles included; ShapeError if malformed."""
    return _decode(data, 0)


def _decode(data: bytes, depth: int) -> list[OscMessage]:
    if len(data) % 4:
        raise ShapeError(f"an OSC packet's length is a multiple of 4, got {len(data)} bytes")
    if not data.startswith(BUNDLE_TAG):
        return [_decode_message(data)]
    if depth >= _MAX_DEPTH:
        raise ShapeError(f"expected at most {_MAX_DEPTH} bundles within one another")
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
