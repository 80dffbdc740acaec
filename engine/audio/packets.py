"""Parts of sound files that a decoder would miss: Ogg pages, FLAC streams, MP3 frames.

The decoders skip damage and joined files silently, so the parts of a file are found before
decoding.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass
from typing import Final, NamedTuple

Bytes = bytes | mmap.mmap

_SWAP: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OGG_HEAD: Final = 27
_BEGINS, _ENDS = 2, 4  # flags of an Ogg page


@dataclass(frozen=True)
class Part:
    """Bytes of a file that one decoder can read.

    Attributes:
        prefix: bytes put before them.
        patches: see Repair.

    """

    start: int
    end: int
    prefix: bytes = b""
    patches: dict[int, bytes] | None = None


@dataclass(frozen=True)
class Contents:
    """The parts of a file in their order. fault: damage at which the audio ends, or None."""

    parts: tuple[Part, ...]
    note: str = ""
    fault: str = ""


# -- Ogg ------------------------------------------------------------------------------------------


def ogg_contents(data: Bytes) -> Contents:
    """The streams that follow each other in an Ogg file, up to the first damaged page."""
    starts, at, flags, opening = [0], 0, 0, True
    while at < len(data):
        end = _page_end(data, at)
        if end is None:
            break
        flags = data[at + 5]
        if flags & _BEGINS and not opening:
            starts.append(at)
        opening = bool(flags & _BEGINS)
        at = end
    ends = [*starts[1:], at]
    parts = tuple(Part(a, b) for a, b in zip(starts, ends, strict=True))
    if at < len(data) and data.find(b"OggS", at + 1) >= 0:
        return Contents(parts, fault=f"a page of it is damaged at byte {at}")
    begun = data[at : at + 4] == b"OggS"  # other bytes after an end mark are a tag or padding
    if begun or not flags & _ENDS:
        return Contents(parts, "it ends without an end mark, so it was cut")
    return Contents(parts)


def _page_end(data: Bytes, at: int) -> int | None:
    """The byte after the page at `at`; None without an intact page."""
    head = data[at : at + _OGG_HEAD]
    if len(head) < _OGG_HEAD or head[:4] != b"OggS":
        return None
    table = data[at + _OGG_HEAD : at + _OGG_HEAD + head[26]]
    end = at + _OGG_HEAD + head[26] + sum(table)
    if end > len(data):
        return None
    page = data[at:end]
    checked = page[:22] + bytes(4) + page[26:]
    return end if _ogg_checksum(checked) == struct.unpack("<I", page[22:26])[0] else None


def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32: bits in the other order than zlib's, start value 0."""
    mirrored = zlib.crc32(page.translate(_SWAP), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


# -- FLAC -----------------------------------------------------------------------------------------

_FLAC_BEGINS: Final = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
_ID3V1: Final = 128  # bytes of a tag at the end, which the decoder would report as damage


def flac_contents(data: Bytes) -> Contents:
    """The streams that follow each other in a FLAC file; a decoder ends after the first."""
    starts = {0}
    for mark in _FLAC_BEGINS:
        at = 0
        while (at := data.find(mark, at + 1)) >= 0:
            starts.add(at)
    end = len(data) - (_ID3V1 if data[-_ID3V1 : 3 - _ID3V1] == b"TAG" else 0)
    ends = [*sorted(starts)[1:], end]
    return Contents(tuple(Part(a, b) for a, b in zip(sorted(starts), ends, strict=True)))


# -- MP3 ------------------------------------------------------------------------------------------

_RATES: Final = ((11025, 12000, 8000), None, (22050, 24000, 16000), (44100, 48000, 32000))
_HIGH: Final = (  # kbit/s of MPEG 1, by layer 3, 2, 1
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    tuple(range(32, 449, 32)),
)
_LOW: Final = (  # of MPEG 2 and 2.5
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
)
_SAME: Final = 0xFFFE0C00  # bits of a frame's header that all frames share
_TAGS: Final = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_LEAST_GAP: Final = 4  # bytes: less is padding
_MOST_GAP: Final = 1024  # bytes: libmpg123 does not look further for the next frame


class _Frames(NamedTuple):
    first: int  # offset of the first frame
    number: int
    end: int  # of the last frame that follows the others
    gaps: int  # bytes between frames which belong to none
    cut: bool
    damaged: bool  # at `end`, more than a decoder passes over


def mp3_contents(data: Bytes) -> Contents | None:
    """The part of an MP3 file with its true number of frames; None if it cannot be counted."""
    frames = _count_frames(data)
    if frames is None:
        return None
    part, note = _whole_part(data, frames)
    if frames.damaged:
        return Contents((part,), fault=f"no frame follows the one before byte {frames.end}")
    if frames.gaps:
        note = f"{frames.gaps} bytes in it are damaged and were passed over"
    elif frames.cut and not note:
        note = "it ends in the middle of a frame, so it was cut"
    return Contents((part,), note)


def _whole_part(data: Bytes, frames: _Frames) -> tuple[Part, str]:
    """The part with a correct frame count in its header, and the error of the original one."""
    info = _info_at(data, frames.first)
    if info is None:
        prefix = _info_frame(data, frames.first, frames.number)
        return Part(frames.first, frames.end, prefix), ""
    said, there = struct.unpack(">I", data[info + 8 : info + 12])[0], frames.number - 1
    if abs(said - there) <= 1:  # some encoders include the frame of the header
        return Part(frames.first, frames.end), ""
    patches = {}
    if data[info + 7] & 2:  # the count of bytes, at which the decoder would complain
        patches[info + 12] = struct.pack(">I", frames.end - frames.first)
    if said > there:
        note = f"it is cut: {there} of the {said} frames that its header promises"
    else:
        patches[info + 8] = struct.pack(">I", there)
        note = "it is several files joined; all of them are used"
    return Part(frames.first, frames.end, patches=patches), note


def _count_frames(data: Bytes) -> _Frames | None:
    tag = _after_tag(data, 0)
    first = _find_frame(data, tag, None)
    # Other formats contain bytes that look like a frame.
    if first is None or first > tag + (_MOST_GAP if tag else 0):
        return None
    shape = _head(data, first) & _SAME
    at, number, gaps = first, 0, 0
    while at < len(data):
        size = _frame_bytes(_head(data, at))
        if size and _head(data, at) & _SAME == shape:
            if at + size > len(data):
                return _Frames(first, number, at, gaps, cut=True, damaged=False)
            at, number = at + size, number + 1
            continue
        if any(data[at : at + len(tag)] == tag for tag in _TAGS):
            break
        begin = _after_tag(data, at)
        following = _find_frame(data, begin, shape)
        gap = (len(data) if following is None else following) - begin
        if gap > _MOST_GAP and any(data[begin : begin + _MOST_GAP]):
            return _Frames(first, number, at, gaps, cut=False, damaged=True)
        if following is None:
            break
        gaps += gap if gap >= _LEAST_GAP else 0
        at = following
    return _Frames(first, number, at, gaps, cut=False, damaged=False)


def _after_tag(data: Bytes, at: int) -> int:
    """The byte after the ID3 tag at `at`, or `at` where there is none."""
    head = data[at : at + 10]
    if len(head) < 10 or head[:3] != b"ID3":
        return at
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte & 127
    return at + 10 + size


def _find_frame(data: Bytes, at: int, shape: int | None) -> int | None:
    """The next frame that is followed by a similar one, or that is the last."""
    while (at := data.find(b"\xff", at)) >= 0:
        head = _head(data, at)
        size = _frame_bytes(head)
        if size and shape in (None, head & _SAME):
            following = _head(data, at + size)
            if at + size == len(data) or (following ^ head) & _SAME == 0:
                return at
        at += 1
    return None


def _head(data: Bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4].ljust(4, b"\0"), "big")


def _frame_bytes(head: int) -> int:
    """The length of the frame with this header; 0 for no frame and for free bit rates."""
    version, layer = head >> 19 & 3, head >> 17 & 3
    rates, rate, bits = _RATES[version], head >> 10 & 3, head >> 12 & 15
    if head >> 21 != 0x7FF or rates is None or layer == 0 or rate == 3 or bits in (0, 15):
        return 0
    kbits = (_HIGH if version == 3 else _LOW)[layer - 1][bits - 1]
    padding = head >> 9 & 1
    if layer == 3:
        return (12000 * kbits // rates[rate] + padding) * 4
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples * 125 * kbits // rates[rate] + padding


def _side_bytes(head: int) -> int:
    """Position of the Xing header in a frame of layer 3."""
    mono = head >> 6 & 3 == 3
    high = head >> 19 & 3 == 3
    return 4 + ((17 if mono else 32) if high else (9 if mono else 17))


def _info_at(data: Bytes, first: int) -> int | None:
    """Position of a Xing header that counts the frames; None without one."""
    at = first + _side_bytes(_head(data, first))
    counts = data[at : at + 4] in (b"Xing", b"Info") and data[at + 7 : at + 8] and data[at + 7] & 1
    return at if counts else None


def _info_frame(data: Bytes, first: int, count: int) -> bytes:
    """A silent frame with a Xing header, without which decoders guess the length and stop there."""
    head = _head(data, first)
    if head >> 17 & 3 != 1:
        return b""
    # The largest bit rate, for enough room; without a checksum.
    head = head & ~(15 << 12) | 14 << 12 | 1 << 16
    body = head.to_bytes(4, "big").ljust(_side_bytes(head), b"\0")
    return (body + b"Xing" + struct.pack(">II", 1, count)).ljust(_frame_bytes(head), b"\0")
