"""Virtual Motion Capture protocol over OSC/UDP: one frame as a few datagrams.

Knows the protocol's names and coordinates (Unity: left-handed, +Y up, +Z forward) and owns one
UDP socket. It knows no avatar: receivers take rotations, and most of them no bone positions.

Where the translation goes: Hips carries all of it (rest position plus translation) and Root stays
at the origin. Receivers in Unity and Unreal apply Root to the avatar's object and add the Hips'
local position, so for them either place would do; but those that read no Root at all (Godot,
Blender) would stand still with the hips at the floor if Root carried it, and a root set by hand in
a scene would be overwritten every frame.

Each frame is a template of bytes made once, into which numpy writes some 290 floats. Order: bones,
then blend shapes and their Apply, then OK and T, on which some receivers latch what came before.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from engine.errors import ConfigError, ExportError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.pose import HandReference, PoseFormat, PoseFrame
from engine.motion.skeleton import SMPLX_55, Skeleton
from exporters.address import Address
from exporters.arkit import BLEND_NAMES, blend_map
from exporters.hosts import look_up
from exporters.osc import BUNDLE_HEADER, SIZE_BYTES, encode_bundle, encode_message

DEFAULT_PORT: Final = 39539
SPLIT_BYTES: Final = 1400  # a datagram below this is not fragmented on Ethernet or Wi-Fi

_FINGERS: Final = (
    *(("index", "Index"), ("middle", "Middle"), ("pinky", "Little")),
    *(("ring", "Ring"), ("thumb", "Thumb")),
)
_SIDED: Final = (
    *(("hip", "UpperLeg"), ("knee", "LowerLeg"), ("ankle", "Foot"), ("foot", "Toes")),
    *(("collar", "Shoulder"), ("shoulder", "UpperArm"), ("elbow", "LowerArm"), ("wrist", "Hand")),
)
_MIDDLE: Final = (
    *(("pelvis", "Hips"), ("spine1", "Spine"), ("spine2", "Chest"), ("spine3", "UpperChest")),
    *(("neck", "Neck"), ("head", "Head"), ("jaw", "Jaw")),
)


def _bones() -> Iterator[tuple[str, str]]:
    yield from _MIDDLE
    for side, unity in (("left", "Left"), ("right", "Right")):
        yield f"{side}_eye", f"{unity}Eye"
        for ours, theirs in _SIDED:
            yield f"{side}_{ours}", unity + theirs
        for ours, theirs in _FINGERS:
            for number, phalanx in enumerate(("Proximal", "Intermediate", "Distal"), 1):
                yield f"{side}_{ours}{number}", unity + theirs + phalanx


UNITY_BONES: Final[dict[str, str]] = dict(_bones())
"""SMPL-X joint name to Unity's HumanBodyBones name."""

_HIPS: Final = "pelvis"
# Mirroring x turns our right-handed axes into Unity's: (-x, y, z) and xyzw (x, -y, -z, w).
_POSITION_SIGNS: Final = (-1.0, 1.0, 1.0)
_ROTATION_SIGNS: Final = (1.0, -1.0, -1.0, 1.0)
_XYZW_OF_WXYZ: Final = (1, 2, 3, 0)

# A message and, if floats at its end change from frame to frame, how many.
_Slot: TypeAlias = tuple[bytes, int]


@dataclass(frozen=True)
class _Template:
    """Bytes of all datagrams in one buffer, their limits, and the positions of the floats."""

    data: bytearray
    datagrams: tuple[slice, ...]
    floats: np.ndarray[tuple[int], np.dtype[np.intp]]


class VmcEncoder:
    """Encodes frames of one format. `split` keeps every datagram under 1400 bytes.

    Raises ExportError for a skeleton that lacks one of the 55 SMPL-X joints.
    """

    def __init__(self, fmt: PoseFormat, split: bool = False) -> None:
        joints = [_joint_index(fmt.skeleton, name) for name in SMPLX_55.joint_names]
        self._blends = blend_map(fmt.face)
        self._rate = fmt.clock.sample_rate
        names = BLEND_NAMES if self._blends else ()
        template = _build(_groups(fmt.skeleton, joints, names), split)
        self._datagrams, self._slots = template.datagrams, template.floats
        self._template = template.data
        self._words = np.frombuffer(template.data, np.uint32)
        self._rest = fmt.skeleton.offsets[joints[0]]
        self._source = np.array([4 * j + k for j in joints for k in _XYZW_OF_WXYZ])
        self._signs = np.array(_POSITION_SIGNS + _ROTATION_SIGNS * len(joints), np.float32)
        # In the order of the slots: hips position, rotations, blend weights, time.
        self._values = np.zeros(len(self._slots), np.float32)
        self._swapped = np.zeros(len(self._slots), ">f4")
        body = len(self._signs)
        self._hips, self._rotations = self._values[:3], self._values[3:body]
        self._body, self._weights = self._values[:body], self._values[body:-1]

    def encode(self, frame: PoseFrame) -> tuple[bytes, ...]:
        """The datagrams of one frame, in the order in which they must be sent."""
        np.add(self._rest, frame.translation, out=self._hips)
        # The method, and "clip", which skips a buffer: np.take would cost three times as much.
        frame.rotations.ravel().take(self._source, out=self._rotations, mode="clip")
        np.multiply(self._body, self._signs, out=self._body)
        if self._blends is not None:
            self._blends.weights(frame.face, self._weights)
        self._values[-1] = frame.sample / self._rate
        # Swapping the bytes first and scattering words is twice as fast as scattering floats.
        self._swapped[:] = self._values
        self._words[self._slots] = self._swapped.view(np.uint32)
        whole = bytes(self._template)
        return tuple([whole[where] for where in self._datagrams])


def _joint_index(skeleton: Skeleton, name: str) -> int:
    if name not in skeleton.joint_names:
        raise ExportError(
            f"VMC needs the 55 joints of SMPL-X, this model's skeleton lacks {name!r}; "
            f"stream it over the WebSocket instead"
        )
    return skeleton.index(name)


def _groups(
    skeleton: Skeleton, joints: list[int], blends: tuple[str, ...]
) -> tuple[list[_Slot], ...]:
    """The messages of a frame, grouped into the bundles that receivers expect."""
    root = encode_message("/VMC/Ext/Root/Pos", "root", *(0.0,) * 6, 1.0)
    bones: list[_Slot] = [(root, 0)]
    for joint in joints:
        name = skeleton.joint_names[joint]
        offset = [
            float(sign * x)
            for sign, x in zip(_POSITION_SIGNS, skeleton.offsets[joint], strict=True)
        ]
        message = encode_message("/VMC/Ext/Bone/Pos", UNITY_BONES[name], *offset, *(0.0,) * 4)
        bones.append((message, 7 if name == _HIPS else 4))
    faces: list[_Slot] = [(encode_message("/VMC/Ext/Blend/Val", name, 0.0), 1) for name in blends]
    if blends:
        faces.append((encode_message("/VMC/Ext/Blend/Apply"), 0))
    state: list[_Slot] = [
        (encode_message("/VMC/Ext/OK", 1), 0),
        (encode_message("/VMC/Ext/T", 0.0), 1),
    ]
    return bones, faces, state


def _build(groups: tuple[list[_Slot], ...], split: bool) -> _Template:
    data, datagrams = bytearray(), []
    floats: list[int] = []
    for group in groups:
        for slots in _split(group) if split else [group]:
            if not slots:
                continue
            start = len(data)
            position = start + len(BUNDLE_HEADER)
            data += encode_bundle([message for message, _ in slots])
            for message, count in slots:
                position += SIZE_BYTES + len(message)
                floats += range(position // 4 - count, position // 4)
            datagrams.append(slice(start, len(data)))
    return _Template(data, tuple(datagrams), np.array(floats, np.intp))


def _split(group: list[_Slot]) -> Iterator[list[_Slot]]:
    part: list[_Slot] = []
    size = len(BUNDLE_HEADER)
    for slot in group:
        added = SIZE_BYTES + len(slot[0])
        if size + added >= SPLIT_BYTES:
            yield part
            part, size = [], len(BUNDLE_HEADER)
        part.append(slot)
        size += added
    yield part


class VmcSink:
    """A PoseSink that sends VMC datagrams to one receiver, from one source port.

    A missing receiver is not an error: UDP reports it only sometimes, and it may return at any
    time. Each outage is counted once as LOST_DEVICE. note: once the sink is open, the parts of the
    pose that receivers ignore, or None.
    """

    # Without a receiver, only some datagrams raise errors (systems limit their rate), so an outage
    # ends when none was raised for five seconds of frames.
    _CLEAN_FRAMES: Final = 150

    def __init__(self, address: Address, *, events: EventCounter, split: bool = False) -> None:
        if address.port == 0:
            raise ConfigError(f"VMC needs the receiver's port, usually {DEFAULT_PORT}, got 0")
        self.address = address
        self.note: str | None = None
        self._events = events
        self._split = split
        self._encoder: VmcEncoder | None = None
        self._socket: socket.socket | None = None
        self._outage = 0  # frames left until the present outage is over; 0 = none

    def open(self, fmt: PoseFormat) -> None:
        """Create the template and the socket; ExportError for an unknown host or skeleton."""
        self._encoder = VmcEncoder(fmt, self._split)
        self.note = _shortcomings(fmt)
        self._socket = _connected(self.address)

    def send(self, frame: PoseFrame) -> None:
        """Send one frame; raises nothing for faults of the receiver or the network."""
        if self._encoder is None or self._socket is None:
            return
        self._outage = max(0, self._outage - 1)
        for datagram in self._encoder.encode(frame):
            self._send(self._socket, datagram)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, connected: socket.socket, datagram: bytes) -> None:
        try:
            connected.send(datagram)
        except ConnectionError:
            # This error is of an earlier datagram and consumed this call: the receiver may be back.
            self._lost()
            try:
                connected.send(datagram)
            except OSError:
                self._lost()
        except OSError:
            self._lost()

    def _lost(self) -> None:
        if self._outage == 0:
            self._events.count(LOST_DEVICE)
        self._outage = self._CLEAN_FRAMES


def _connected(address: Address) -> socket.socket:
    """A UDP socket that reports the receiver's refusals."""
    try:
        family, number = look_up(address, socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise ExportError(
            f"cannot find the VMC receiver's host {address.host!r} ({error}); check its name or "
            f"give its number"
        ) from error
    result = socket.socket(family, socket.SOCK_DGRAM)
    try:
        result.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        result.setblocking(False)
        result.connect((number, address.port))
    except OSError as error:
        result.close()
        raise ExportError(
            f"cannot send to the VMC receiver at {address} ({error}); check the network"
        ) from error
    return result


def _shortcomings(fmt: PoseFormat) -> str | None:
    notes = []
    if blend_map(fmt.face) is None:
        notes.append(f"bones only: face basis {fmt.face.name} has no map to VRM blend shapes")
    if fmt.hand_reference is not HandReference.FLAT:
        notes.append(f"fingers are relative to the {fmt.hand_reference} hand, VRM's are flat")
    return "; ".join(notes) or None
