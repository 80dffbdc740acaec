import re
import select
import socket
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ConfigError, ExportError
from engine.events import LOST_DEVICE
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference, PoseFormat, PoseFrame
from engine.motion.rotation import exp, forward_kinematics, identity, multiply, rotate
from engine.motion.skeleton import SMPLX_55, Skeleton
from exporters.address import Address
from exporters.arkit import BLEND_NAMES, blend_map
from exporters.osc import encode_message
from exporters.vmc import UNITY_BONES, VmcEncoder, VmcSink
from tests.support.osc_decoder import decode_packet

# Unity's HumanBodyBones without the values that are no bones, in Unity's order.
_HAND = [
    finger + phalanx
    for finger in ("Thumb", "Index", "Middle", "Ring", "Little")
    for phalanx in ("Proximal", "Intermediate", "Distal")
]
HUMAN_BODY_BONES = [
    "Hips",
    *(side + bone for bone in ("UpperLeg", "LowerLeg", "Foot") for side in ("Left", "Right")),
    *("Spine", "Chest", "Neck", "Head"),
    *(
        side + bone
        for bone in ("Shoulder", "UpperArm", "LowerArm", "Hand", "Toes", "Eye")
        for side in ("Left", "Right")
    ),
    "Jaw",
    *("Left" + bone for bone in _HAND),
    *("Right" + bone for bone in _HAND),
    "UpperChest",
]


def message(address, *arguments):
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build()


def bundle(messages):
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

    builder = OscBundleBuilder(IMMEDIATELY)
    for content in messages:
        builder.add_content(content)
    return builder.build().dgram


def naive(frame):
    """The same datagrams, built step by step by python-osc."""
    skeleton = SMPLX_55
    bones = [message("/VMC/Ext/Root/Pos", "root", *(0.0,) * 6, 1.0)]
    for j, name in enumerate(skeleton.joint_names):
        position = skeleton.offsets[j] + (frame.translation if j == 0 else 0)
        x, y, z = (float(v) for v in position.astype(np.float32))
        qw, qx, qy, qz = (float(v) for v in frame.rotations[j])
        values = (-x, y, z, qx, -qy, -qz, qw)
        bones.append(message("/VMC/Ext/Bone/Pos", UNITY_BONES[name], *values))
    blends = np.zeros(len(BLEND_NAMES), np.float32)
    blend_map(PoseFormat().face).weights(frame.face, blends)
    faces = [
        message("/VMC/Ext/Blend/Val", name, float(value))
        for name, value in zip(BLEND_NAMES, blends, strict=True)
    ]
    faces.append(message("/VMC/Ext/Blend/Apply"))
    state = [message("/VMC/Ext/OK", 1), message("/VMC/Ext/T", frame.sample / 16000)]
    return tuple(bundle(part) for part in (bones, faces, state))


def test_bones_are_exactly_unitys():
    assert len(HUMAN_BODY_BONES) == 55
    assert sorted(UNITY_BONES.values()) == sorted(HUMAN_BODY_BONES)
    assert set(UNITY_BONES) == set(SMPLX_55.joint_names)


@pytest.mark.osc_library
def test_datagrams_equal_those_of_a_naive_encoder(make_frame, fmt):
    encoder = VmcEncoder(fmt)
    for index in (0, 1, 29, 108000):
        assert encoder.encode(make_frame(index)) == naive(make_frame(index))


def test_golden_bytes_of_the_first_bone(make_frame, fmt):
    frame = replace(make_frame(0), rotations=identity(55))
    frame.translation[:] = (0.9969, 1.3514, -0.012)  # pelvis at (1, 1, 0)
    bones, _, state = VmcEncoder(fmt).encode(frame)
    at = bones.index(b"/VMC/Ext/Bone/Pos")
    assert bones[at : at + 40] == b"/VMC/Ext/Bone/Pos\0\0\0,sfffffff\0\0\0Hips\0\0\0\0"
    assert np.frombuffer(bones, ">f4", 7, at + 40) == pytest.approx([-1, 1, 0, 0, 0, 0, 1])
    assert state == (
        b"#bundle\0\0\0\0\0\0\0\0\x01"
        b"\0\0\0\x14/VMC/Ext/OK\0,i\0\0\0\0\0\x01"
        b"\0\0\0\x14/VMC/Ext/T\0\0,f\0\0\0\0\0\0"
    )


def test_earlier_datagrams_do_not_change(make_frame, fmt):
    encoder = VmcEncoder(fmt)
    first = encoder.encode(make_frame(1))
    copies = tuple(bytes(bytearray(datagram)) for datagram in first)
    encoder.encode(make_frame(2))
    assert first == copies


def test_split_datagrams_hold_the_same_messages(make_frame, fmt):
    whole = VmcEncoder(fmt).encode(make_frame(5))
    split = VmcEncoder(fmt, split=True).encode(make_frame(5))
    assert max(len(datagram) for datagram in split) < 1400
    assert [m for d in split for m in decode_packet(d)] == [
        m for d in whole for m in decode_packet(d)
    ]


def test_receivers_latch_after_the_bones(make_frame, fmt):
    for split in (False, True):
        addresses = [
            m.address
            for d in VmcEncoder(fmt, split).encode(make_frame(0))
            for m in decode_packet(d)
        ]
        in_order = ["Root/Pos", *["Bone/Pos"] * 55, *["Blend/Val"] * 64, "Blend/Apply", "OK", "T"]
        assert addresses == [f"/VMC/Ext/{name}" for name in in_order]


def test_a_mirrored_figure_has_the_same_positions(make_frame, fmt):
    """Unity's kinematics on the sent bones give the world positions with x mirrored."""
    frame = make_frame(3)
    bones, *_ = VmcEncoder(fmt).encode(frame)
    sent = {m.arguments[0]: m.arguments[1:] for m in decode_packet(bones)}
    local = [np.array(sent[UNITY_BONES[name]]) for name in SMPLX_55.joint_names]
    place, turn = [], []
    for j, parent in enumerate(SMPLX_55.parents):
        q = local[j][[6, 3, 4, 5]]  # the quaternion algebra is the same in either handedness
        turn.append(q if parent < 0 else multiply(turn[parent], q))
        step = local[j][:3]
        place.append(step if parent < 0 else place[parent] + rotate(turn[parent], step))
    ours, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, frame.rotations, frame.translation
    )
    np.testing.assert_allclose(place, ours * [-1, 1, 1], atol=1e-5)


def test_raising_the_left_arm_raises_unitys_left_arm(make_frame, fmt):
    rotations = identity(55)
    shoulder = SMPLX_55.index("left_shoulder")
    # A quarter turn about +Z lifts the arm that points along +X (the figure's left) to +Y.
    rotations[shoulder] = exp(np.array([0, 0, np.pi / 2], np.float32))
    bones, *_ = VmcEncoder(fmt).encode(replace(make_frame(0), rotations=rotations))
    arm = next(m for m in decode_packet(bones) if m.arguments[0] == "LeftUpperArm")
    q = np.array(arm.arguments[4:])[[3, 0, 1, 2]]
    # In Unity the left arm points along -X.
    np.testing.assert_allclose(rotate(q, np.array([-1.0, 0, 0])), [0, 1, 0], atol=1e-6)


def test_joints_are_found_by_name(make_frame, fmt):
    """A skeleton with an additional joint before the fingers sends the same bones."""
    names = (*SMPLX_55.joint_names, "tail")
    longer = Skeleton(names, (*SMPLX_55.parents, 0), (*SMPLX_55.rest_offsets, (0.0, 0.0, -0.1)))
    frame = make_frame(0)
    more = replace(frame, rotations=np.concatenate([frame.rotations, identity(1)]))
    expected = VmcEncoder(fmt).encode(frame)
    assert VmcEncoder(replace(fmt, skeleton=longer)).encode(more) == expected
    with pytest.raises(ExportError, match="lacks 'pelvis'"):
        VmcEncoder(replace(fmt, skeleton=Skeleton(("hips",), (-1,), ((0.0, 1.0, 0.0),))))


def test_a_face_without_a_map_sends_bones_only_with_a_note(make_frame, fmt, events):
    flame = replace(fmt, face=FLAME_100, hand_reference=HandReference.SMPLX_MEAN)
    bones, state = VmcEncoder(flame).encode(make_frame(0, 100))
    assert len(decode_packet(bones)) == 56
    assert [m.address for m in decode_packet(state)] == ["/VMC/Ext/OK", "/VMC/Ext/T"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = VmcSink(Address(*receiver.getsockname()), events=events)
        sink.open(flame)
        sink.close()
    assert "flame100" in sink.note
    assert "smplx_mean" in sink.note


def received(receiver):
    receiver.setblocking(False)
    result = []
    while True:
        try:
            result.append(receiver.recvfrom(65536))
        except BlockingIOError:
            return result


def test_sends_all_from_one_port_and_closes_twice(make_frame, fmt, events):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = VmcSink(Address(*receiver.getsockname()), events=events)
        sink.open(fmt)
        for index in range(5):
            sink.send(make_frame(index))
        sink.close()
        sink.close()
        sink.send(make_frame(9))
        datagrams = received(receiver)
    assert len(datagrams) == 15
    assert len({sender for _, sender in datagrams}) == 1
    messages = Counter(m.address for d, _ in datagrams for m in decode_packet(d))
    assert messages["/VMC/Ext/Bone/Pos"] == 5 * 55
    assert messages["/VMC/Ext/Blend/Val"] == 5 * 64
    assert sink.note is None
    assert not any(events.snapshot().values())


def test_a_receiver_may_disappear_and_return(make_frame, fmt, events):
    first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first.bind(("127.0.0.1", 0))
    place = first.getsockname()
    sink = VmcSink(Address(*place), events=events)
    sink.open(fmt)
    sink.send(make_frame(0))
    first.close()
    for index in range(400):  # a long outage is one outage
        sink.send(make_frame(index))
    assert events.snapshot()[LOST_DEVICE] == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind(place)
        sink.send(make_frame(1))
        assert len(received(second)) == 3
        for index in range(200):
            sink.send(make_frame(index))
            received(second)
    for index in range(10):
        sink.send(make_frame(index))
    assert events.snapshot()[LOST_DEVICE] == 2
    sink.close()


def test_an_unknown_host_is_an_error_of_open(fmt, events):
    for host in ("no.such.host.invalid", "b" * 70 + ".local", "my..host"):
        with pytest.raises(ExportError, match=re.escape(host)):
            VmcSink(Address(host, 39539), events=events).open(fmt)
    with pytest.raises(ConfigError, match="39539"):
        VmcSink(Address("127.0.0.1", 0), events=events)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))  # free at every address, since oscdump listens there
        return int(probe.getsockname()[1])


class OscDump:
    """The program `oscdump` on a free port, read line by line."""

    def __init__(self) -> None:
        for _ in range(10):  # another process may take the port before it is used
            self.port = free_port()
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", "oscdump", str(self.port)], stdout=subprocess.PIPE
            )
            self.text = b""
            if self.receives():
                return
            self.close()
        raise AssertionError("oscdump found none of ten ports free")

    def receives(self) -> bool:
        """Whether the program prints received messages; False once it has ended."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(400):
                with suppress(ConnectionError):  # nothing listens there yet
                    sender.sendto(encode_message("/hello"), ("127.0.0.1", self.port))
                if select.select([self.process.stdout], [], [], 0.05)[0]:
                    self.text += self.process.stdout.read1(1 << 16)
                    return self.text != b""
        return False

    def until(self, pattern: str, send) -> list[str]:
        """Lines until one matches; calls `send` whenever none arrives for a while."""
        for _ in range(400):
            if re.search(pattern, self.text.decode()):
                return self.text.decode().splitlines()
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                self.text += self.process.stdout.read1(1 << 16)
            else:
                send()
        raise AssertionError(f"oscdump never printed {pattern}: {self.text[-500:]!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.receiver
@pytest.mark.parametrize("split", [False, True])
def test_oscdump_reads_the_stream_whole(make_frame, fmt, events, split):
    dump = OscDump()
    sink = VmcSink(Address("127.0.0.1", dump.port), events=events, split=split)
    sink.open(fmt)
    try:
        dump.until(r"/VMC/Ext/T f 0\.0", lambda: sink.send(make_frame(0)))
        frames: list[PoseFrame] = [make_frame(30 * k) for k in range(1, 11)]
        for frame in frames:  # one after the other: the receiver's own buffer is not tested
            sink.send(frame)
            lines = dump.until(rf"/VMC/Ext/T f {frame.sample // 16000}\.0", lambda: None)
    finally:
        sink.close()
        dump.close()
    parsed = [line.split(maxsplit=3)[1:] for line in lines if "/VMC/" in line]
    last_idle = max(i for i, m in enumerate(parsed) if m[0] == "/VMC/Ext/T" and m[2] == "0.000000")
    counts = Counter(m[0] for m in parsed[last_idle + 1 :])
    assert counts["/VMC/Ext/Bone/Pos"] == 55 * len(frames)
    assert counts["/VMC/Ext/Blend/Val"] == 64 * len(frames)
    assert counts["/VMC/Ext/T"] == counts["/VMC/Ext/OK"] == len(frames)
    assert {m[1] for m in parsed if m[0] == "/VMC/Ext/Bone/Pos"} == {"sfffffff"}
    head = [m[2] for m in parsed if m[2:] and m[2].startswith('"Head"')][-1]
    qw, qx, qy, qz = frames[-1].rotations[SMPLX_55.index("head")]
    values = [float(v) for v in head.split()[1:]]
    assert values[3:] == pytest.approx([qx, -qy, -qz, qw], abs=1e-5)
