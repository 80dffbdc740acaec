"""The WebSocket protocol as bytes and text: encoding and decoding, both directions.

Server to client: `hello` (text) once, then a binary frame for each pose; on request binary audio
and the texts `words` and `stats`. Client to server: binary 16-bit little-endian mono PCM, and the
texts subscribe, audio, words, reset, cancel, end, ping.

Binary headers are multiples of four bytes, so that a browser can view the rest as a Float32Array.
Quaternions are xyzw on the wire (the order of browsers and game engines), wxyz in a PoseFrame.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from engine.clock import FrameClock
from engine.errors import ConfigError, ShapeError, TranscriptError
from engine.motion.face_basis import face_basis
from engine.motion.pose import FloatArray, FrameFlag, HandReference, PoseFormat, PoseFrame
from engine.motion.skeleton import Skeleton
from engine.text.files import words_from_json
from engine.text.words import TimedWord

PROTOCOL: Final = 1
FRAME_MAGIC: Final = b"EMGP"
AUDIO_MAGIC: Final = b"EMGA"
FRAME_HEADER: Final = struct.Struct("<4sHHIdHH")
AUDIO_HEADER: Final = struct.Struct("<4sHHId")
CONTACTS: Final = 4
LOWEST_RATE: Final = 8000
HIGHEST_RATE: Final = 96000
MOST_TEXT: Final = 64 * 1024  # characters of a control message; longer ones stall the server
_WORDS_A_MESSAGE: Final = 256
MOST_WORDS: Final = 1000  # in one message
_LATEST_S: Final = 1e6  # eleven days; later times are in a wrong unit
_VERSION: Final = 1


@dataclass(frozen=True)
class AudioPacket:
    """Audio of the stream: float32 samples `[S]`; the first one is sample `first_sample`."""

    first_sample: int
    samples: FloatArray


@dataclass(frozen=True)
class Subscribe:
    """Subscriptions of a client besides frames, and whether frames are sent as JSON."""

    audio: bool = False
    stats: bool = False
    words: bool = False
    json_frames: bool = False


@dataclass(frozen=True)
class AudioRate:
    """The sample rate in Hz of the PCM that the client will send."""

    rate: int


@dataclass(frozen=True)
class PushWords:
    """Words for the stream."""

    words: tuple[TimedWord, ...]


@dataclass(frozen=True)
class Command:
    """One of reset, cancel, end, ping."""

    name: str


ClientMessage: TypeAlias = Subscribe | AudioRate | PushWords | Command
COMMANDS: Final = ("reset", "cancel", "end", "ping")

# ---- server to client -------------------------------------------------------------------------


def hello(fmt: PoseFormat) -> str:
    """The text with everything a client needs before the first frame."""
    skeleton = fmt.skeleton
    return json.dumps(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "fps": fmt.clock.frame_rate,
            "sample_rate": fmt.clock.sample_rate,
            "clock": "frame k begins at sample k * sample_rate // fps",
            "skeleton": {
                "names": skeleton.joint_names,
                "parents": skeleton.parents,
                "rest_offsets": skeleton.rest_offsets,
            },
            "face": {"basis": fmt.face.name, "names": fmt.face.coefficients},
            "units": "metres",
            "handedness": "right, +Y up, facing +Z",
            "hand_reference": fmt.hand_reference,
            "hop": fmt.hop,
        }
    )


def parse_hello(text: str | bytes) -> PoseFormat:
    """The format in a `hello`; ConfigError for another protocol or a malformed text."""
    message = _load(text)
    if message.get("type") != "hello" or message.get("protocol") != PROTOCOL:
        raise ConfigError(
            f"expected hello of protocol {PROTOCOL}, got {message.get('type')!r} of protocol "
            f"{message.get('protocol')!r}; is this the address of an emage-live server?"
        )
    try:
        bones = message["skeleton"]
        skeleton = Skeleton(
            tuple(bones["names"]),
            tuple(bones["parents"]),
            tuple((float(x), float(y), float(z)) for x, y, z in bones["rest_offsets"]),
        )
        clock = FrameClock(message["sample_rate"], message["fps"])
        basis = face_basis(message["face"]["basis"])
        hop = None if message.get("hop") is None else int(message["hop"])
        return PoseFormat(skeleton, clock, basis, HandReference(message["hand_reference"]), hop)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"a hello of protocol {PROTOCOL} is incomplete: {error!r}") from error


class FrameEncoder:
    """Encodes frames of one format into a preallocated buffer."""

    def __init__(self, fmt: PoseFormat) -> None:
        joints, face = len(fmt.skeleton.joint_names), fmt.face.width
        self._rate = fmt.clock.sample_rate
        self._counts = (joints, face)
        self._buffer = bytearray(FRAME_HEADER.size + 4 * (3 + 4 * joints + CONTACTS + face))
        floats = np.frombuffer(self._buffer, "<f4", offset=FRAME_HEADER.size)
        self._translation, rest = floats[:3], floats[3:]
        self._rotations, rest = rest[: 4 * joints].reshape(joints, 4), rest[4 * joints :]
        self._contacts, self._face = rest[:CONTACTS], rest[CONTACTS:]

    def encode(self, frame: PoseFrame) -> bytes:
        """The binary message of one frame."""
        FRAME_HEADER.pack_into(
            *(self._buffer, 0, FRAME_MAGIC, _VERSION, frame.flags, frame.index),
            frame.sample / self._rate,
            *self._counts,
        )
        self._translation[:] = frame.translation
        self._rotations[:, :3] = frame.rotations[:, 1:]
        self._rotations[:, 3] = frame.rotations[:, 0]
        self._contacts[:] = frame.contacts
        self._face[:] = frame.face
        return bytes(self._buffer)


def decode_frame(data: bytes, sample_rate: int = 16000) -> PoseFrame:
    """The frame of a binary message; ShapeError for any other."""
    if len(data) < FRAME_HEADER.size:
        raise ShapeError(f"a frame has at least {FRAME_HEADER.size} bytes, got {len(data)}")
    magic, version, flags, index, time_s, joints, face = FRAME_HEADER.unpack_from(data)
    if magic != FRAME_MAGIC or version != _VERSION:
        raise ShapeError(f"expected a frame {FRAME_MAGIC!r} of version 1, got {magic!r} {version}")
    expected = FRAME_HEADER.size + 4 * (3 + 4 * joints + CONTACTS + face)
    if len(data) != expected:
        raise ShapeError(
            f"a frame of {joints} joints and {face} face coefficients has {expected} bytes, "
            f"got {len(data)}"
        )
    floats = np.frombuffer(data, "<f4", offset=FRAME_HEADER.size).astype(np.float32)
    wire = floats[3 : 3 + 4 * joints].reshape(joints, 4)
    rest = floats[3 + 4 * joints :]
    return PoseFrame(
        index=index,
        sample=round(time_s * sample_rate),
        rotations=np.roll(wire, 1, axis=1),
        translation=floats[:3],
        contacts=rest[:CONTACTS],
        face=rest[CONTACTS:],
        flags=FrameFlag(flags),
    )


def frame_json(frame: PoseFrame, sample_rate: int) -> str:
    """One frame as text for human readers; rounded to 1e-5."""
    return json.dumps(
        {
            "type": "frame",
            "frame": frame.index,
            "time": frame.sample / sample_rate,
            "flags": int(frame.flags),
            "translation": _rounded(frame.translation),
            "rotations": _rounded(np.roll(frame.rotations, -1, axis=1)),
            "contacts": _rounded(frame.contacts),
            "face": _rounded(frame.face),
        }
    )


def encode_audio(first_sample: int, samples: FloatArray) -> bytes:
    """The binary message of float32 samples `[S]`, clipped to -1..1."""
    header = AUDIO_HEADER.pack(AUDIO_MAGIC, _VERSION, 0, len(samples), float(first_sample))
    return header + encode_pcm(samples)


def decode_audio(data: bytes) -> AudioPacket:
    """The audio of a binary message; ShapeError for any other."""
    if len(data) < AUDIO_HEADER.size or data[:4] != AUDIO_MAGIC:
        raise ShapeError(f"expected an audio message {AUDIO_MAGIC!r}, got {data[:4]!r}")
    _, version, _, count, first = AUDIO_HEADER.unpack_from(data)
    if version != _VERSION or len(data) != AUDIO_HEADER.size + 2 * count:
        raise ShapeError(f"an audio message of {count} samples has another length or version")
    return AudioPacket(int(first), decode_pcm(data[AUDIO_HEADER.size :]))


def text_message(kind: str, body: Mapping[str, Any]) -> str:
    """A text of type `kind`. NaN and infinity, which JSON lacks, become null."""
    return json.dumps({"type": kind, **{key: _finite(value) for key, value in body.items()}})


def words_json(words: Sequence[TimedWord]) -> list[dict[str, Any]]:
    """Words in the form of the protocol, for both directions."""
    return [{"word": w.text, "start": w.start_s, "end": w.end_s} for w in words]


def words_messages(words: Sequence[TimedWord]) -> Iterator[str]:
    """Texts of type words, each within the receiver's limit."""
    for start in range(0, len(words), _WORDS_A_MESSAGE):
        some = words_json(words[start : start + _WORDS_A_MESSAGE])
        yield text_message("words", {"words": some})


def parse_server_message(
    data: str | bytes, fmt: PoseFormat
) -> PoseFrame | AudioPacket | dict[str, Any]:
    """Decode a message to a frame, audio or a dictionary; GestureError for anything else."""
    if isinstance(data, str):
        return _load(data)
    if data[:4] == AUDIO_MAGIC:
        return decode_audio(data)
    return decode_frame(data, fmt.clock.sample_rate)


# ---- client to server -------------------------------------------------------------------------


def decode_pcm(data: bytes) -> FloatArray:
    """16-bit little-endian mono PCM to float32 samples `[S]`; ShapeError for an odd length."""
    if len(data) % 2:
        raise ShapeError(f"16-bit PCM has an even number of bytes, got {len(data)}")
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)


def encode_pcm(samples: FloatArray) -> bytes:
    """Float32 samples `[S]` in -1..1 to 16-bit little-endian PCM."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()


def parse_client_message(text: str) -> ClientMessage:
    """Parse a client's text; a GestureError names the fault of an invalid one."""
    message = _load(text)
    kind = message.get("type")
    match kind:
        case "subscribe":
            return _subscribe(message)
        case "audio":
            return AudioRate(_rate(message.get("rate")))
        case "words":
            return PushWords(_words(message))
        case str() if kind in COMMANDS:
            return Command(kind)
    expected = ", ".join(("subscribe", "audio", "words", *COMMANDS))
    raise ConfigError(f"expected a message of type {expected}, got {_short(kind)}")


def _subscribe(message: Mapping[str, Any]) -> Subscribe:
    wanted = [message.get(name, False) for name in ("audio", "stats", "words")]
    if not all(isinstance(value, bool) for value in wanted):
        raise ConfigError("subscribe expects true or false for audio, stats and words")
    encoding = message.get("format", "binary")
    if encoding not in ("binary", "json"):
        raise ConfigError(f"subscribe expects format binary or json, got {_short(encoding)}")
    audio, stats, words = wanted
    return Subscribe(audio, stats, words, encoding == "json")


def _rate(rate: object) -> int:
    if type(rate) is not int or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(
            f"audio expects a whole rate of {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {_short(rate)}"
        )
    return rate


def _words(message: Mapping[str, Any]) -> tuple[TimedWord, ...]:
    try:
        words = words_from_json(message)
    except RecursionError as error:
        raise TranscriptError("expected a list of words, got lists within lists") from error
    if len(words) > MOST_WORDS:
        raise TranscriptError(f"expected at most {MOST_WORDS} words at once, got {len(words)}")
    for word in words:
        if word.start_s < 0 or word.end_s > _LATEST_S:
            raise TranscriptError(
                f"words lie between 0 and {_LATEST_S:.0f} s, got {word.start_s} to {word.end_s}"
            )
    return tuple(words)


def _load(text: str | bytes) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        raise ConfigError(f"a text message has at most {MOST_TEXT} characters, got {len(text)}")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"a text message is a JSON object, got {_short(text)}") from error
    if not isinstance(message, dict):
        raise ConfigError(f"a text message is a JSON object, got {_short(message)}")
    return message


def _short(value: object) -> str:
    """The first characters of a value; safe for values too deep or too long to print."""
    if isinstance(value, str | int | float | bool | None) and not (
        type(value) is int and abs(value) > 10**20
    ):
        return repr(value[:40] if isinstance(value, str) else value)
    return f"a {type(value).__name__}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(values: FloatArray) -> Any:
    return np.round(values.astype(np.float64), 5).tolist()
