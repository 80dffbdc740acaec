"""Repairs of wrong lengths in the headers of sound files.

A recorder that was killed, and a program that writes into a pipe, leave 0 or a placeholder as the
length. Supports WAV (RIFF, RIFX, RF64, BW64), AIFF, Wave64 and CAF, which are sequences of chunks,
and AU.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

_LONGEST_WALK: Final = 10_000  # chunks: more are no chunks
_TRAILER: Final = 4096  # bytes behind the sound: a tag that is no chunk
_PADDING: Final = 1 << 20  # bytes of zeros that are not sound


@dataclass(frozen=True)
class Repair:
    """Bytes that replace those at an offset, and the reason (empty: nothing is wrong)."""

    patches: dict[int, bytes]
    note: str = ""


class _Kind(NamedTuple):
    """Chunk layout of a format.

    Attributes:
        first: offset of the first chunk.
        size: struct format of a chunk's size.
        whole: whether the size includes the chunk's own header.
        outer: offset of the size of the whole file, and the bytes that it does not count.

    """

    first: int
    name_bytes: int
    size: str
    whole: bool
    align: int
    data: bytes
    outer: tuple[int, int] | None


_WAVE64_DATA: Final = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
_KINDS: Final = {
    b"RIFF": _Kind(12, 4, "<I", False, 2, b"data", (4, 8)),
    b"RF64": _Kind(12, 4, "<I", False, 2, b"data", None),
    b"BW64": _Kind(12, 4, "<I", False, 2, b"data", None),
    b"RIFX": _Kind(12, 4, ">I", False, 2, b"data", (4, 8)),
    b"FORM": _Kind(12, 4, ">I", False, 2, b"SSND", (4, 8)),
    b"riff": _Kind(40, 16, "<Q", True, 8, _WAVE64_DATA, (16, 0)),
    b"caff": _Kind(8, 4, ">q", False, 1, b"data", None),
}


class _Chunk(NamedTuple):
    name: bytes
    size_at: int
    body: int
    size: int  # of the chunk's body, by the header


def repair(file: BinaryIO, length: int) -> Repair:
    """The repair of the header of a file of `length` bytes."""
    magic = _at(file, 0, 4)
    if magic == b".snd":
        return _repair_au(file, length)
    kind = _KINDS.get(magic)
    if kind is None:
        return Repair({})
    before: dict[bytes, _Chunk] = {}
    for chunk in _chunks(file, kind, length):
        before[chunk.name] = chunk
        if chunk.name == kind.data:
            return _repair_data(file, magic, before, length)
    return Repair({})


def _repair_data(file: BinaryIO, magic: bytes, found: dict[bytes, _Chunk], length: int) -> Repair:
    kind, data = _KINDS[magic], found[_KINDS[magic].data]
    patches: dict[int, bytes] = {}
    long = found.get(b"ds64")
    if long is not None and data.size == 0xFFFFFFFF:
        (size,) = struct.unpack("<Q", _at(file, long.body + 8, 8).ljust(8, b"\0"))
        data, kind = data._replace(size=size, size_at=long.body + 8), kind._replace(size="<Q")
        patches[long.body] = struct.pack("<Q", length - 8)
    there = length - data.body
    if data.size == there or _goes_on(file, kind, data, length):
        return Repair({})
    patches[data.size_at] = _packed(kind.size, there + (data.body - _start(kind, data)))
    if long is not None and data.size_at == long.body + 8:
        patches[long.body + 16] = bytes(8)  # frames: unknown
    if kind.outer is not None:
        offset, uncounted = kind.outer
        patches[offset] = _packed(kind.size, length - uncounted)
    common = found.get(b"COMM")
    if magic == b"FORM" and common is not None:
        patches |= _aiff_frames(file, common, there - 8)
    return Repair(patches, _note(data.size, there))


def _start(kind: _Kind, chunk: _Chunk) -> int:
    """Start of the bytes that the chunk's size counts."""
    return chunk.size_at - kind.name_bytes if kind.whole else chunk.body


def _goes_on(file: BinaryIO, kind: _Kind, data: _Chunk, length: int) -> bool:
    """Whether the audio ends where its size says: other chunks, padding or almost nothing follow.

    With a size of 0 only another chunk counts as proof.
    """
    end = _next(kind, data)
    if data.size < 0 or end > length + kind.align:
        return False
    name = _at(file, end, 4)
    if len(name) == 4 and all(32 <= byte < 127 for byte in name):
        chunk = next(_chunks(file, kind._replace(first=end), length), None)
        if chunk is not None and _next(kind, chunk) <= length + kind.align:
            return True
    if data.size == 0:
        return False
    return length - end <= _TRAILER or not any(_at(file, end, _PADDING))


def _chunks(file: BinaryIO, kind: _Kind, length: int) -> Iterator[_Chunk]:
    at, head = kind.first, kind.name_bytes + struct.calcsize(kind.size)
    for _ in range(_LONGEST_WALK):
        if at + head > length:
            return
        name, size = _at(file, at, kind.name_bytes), _at(file, at + kind.name_bytes, head)
        (count,) = struct.unpack(kind.size, size[: head - kind.name_bytes])
        body = count - head if kind.whole else count
        chunk = _Chunk(name, at + kind.name_bytes, at + head, body)
        yield chunk
        if body < 0:
            return
        at = _next(kind, chunk)


def _next(kind: _Kind, chunk: _Chunk) -> int:
    return chunk.body + -(-chunk.size // kind.align) * kind.align


def _aiff_frames(file: BinaryIO, common: _Chunk, sound_bytes: int) -> dict[int, bytes]:
    """The number of frames, for samples of fixed size."""
    channels, _, bits = struct.unpack(">hIh", _at(file, common.body, 8).ljust(8, b"\0"))
    frame = channels * -(-bits // 8)
    return {common.body + 2: _packed(">I", sound_bytes // frame)} if frame > 0 else {}


def _repair_au(file: BinaryIO, length: int) -> Repair:
    """The repair of an AU file; its format allows an unknown length, which is written instead."""
    start, size = struct.unpack(">II", _at(file, 4, 8).ljust(8, b"\0"))
    there = length - start
    if size == there or 0 < size < there:
        return Repair({})
    return Repair({8: _packed(">I", there)}, _note(size, there))


def _note(said: int, there: int) -> str:
    if said <= 0 or said >= 0x7FFFF000:
        return (
            "its header does not say how long it is, as after a pipe or a recorder that was "
            "killed; all that is there is used"
        )
    if said > there:
        return (
            f"it is cut: {there} bytes of sound for the {said} that its header promises; all that "
            "is there is used"
        )
    return f"its header counts {said} bytes of sound, there are {there}; all of them are used"


def _packed(size: str, value: int) -> bytes:
    limit = (1 << 8 * struct.calcsize(size)) - 1
    return struct.pack(size, max(0, min(value, limit)))


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
