import numpy as np
import pytest

from engine.errors import ConfigError, ShapeError
from exporters.osc import encode_bundle, encode_message
from tests.support.osc_decoder import OscMessage, decode_packet

GOLDEN = [
    (("/a",), b"/a\0\0,\0\0\0"),
    (("/abc",), b"/abc\0\0\0\0,\0\0\0"),
    (("/VMC/Ext/OK", 1), b"/VMC/Ext/OK\0,i\0\0\0\0\0\x01"),
    (("/VMC/Ext/T", 0.5), b"/VMC/Ext/T\0\0,f\0\0\x3f\0\0\0"),
    (("/v", -2, 1.0), b"/v\0\0,if\0\xff\xff\xff\xfe\x3f\x80\0\0"),
    (("/s", "root"), b"/s\0\0,s\0\0root\0\0\0\0"),
    (("/b", b"\x01\x02\x03"), b"/b\0\0,b\0\0\0\0\0\x03\x01\x02\x03\0"),
    (("/t", True, False), b"/t\0\0,TF\0"),
]


@pytest.mark.parametrize(("message", "data"), GOLDEN)
def test_messages_encode_to_golden_bytes_and_decode_again(message, data):
    assert encode_message(*message) == data
    assert decode_packet(data) == [OscMessage(message[0], tuple(message[1:]))]


@pytest.mark.osc_library
@pytest.mark.parametrize(("message", "data"), GOLDEN)
def test_another_stack_reads_the_same(message, data):
    from pythonosc.osc_message import OscMessage as TheirMessage

    theirs = TheirMessage(data)
    assert (theirs.address, *theirs.params) == message


def test_a_bundle_is_these_bytes_and_opens_in_order():
    inner = encode_bundle([encode_message("/b", 2)])
    data = encode_bundle([encode_message("/a", 1), inner, encode_message("/c")])
    assert data[:24] == b"#bundle\0" + b"\0\0\0\0\0\0\0\x01" + b"\0\0\0\x0c" + b"/a\0\0"
    assert [m.address for m in decode_packet(data)] == ["/a", "/b", "/c"]


@pytest.mark.parametrize("arguments", [(2**31,), (None,), (np.float32(1),), ("a\0b",)])
def test_argument_types_unknown_to_receivers_are_refused(arguments):
    with pytest.raises(ConfigError):
        encode_message("/a", *arguments)
    with pytest.raises(ConfigError, match="begins with"):
        encode_message("a")


def test_misshapen_packets_are_refused_and_never_crash():
    random = np.random.default_rng(0)
    whole = encode_bundle([encode_message("/abc", 1, 2.0, "text", b"blob", True)])
    refused = 0
    for _ in range(3000):
        data = bytearray(whole[: random.integers(0, len(whole) + 1)])
        for _ in range(random.integers(0, 4)):
            if data:
                data[random.integers(len(data))] = random.integers(256)
        try:
            decode_packet(bytes(data))
        except ShapeError:
            refused += 1
    assert refused > 1000


def test_bundles_within_bundles_end_somewhere():
    data = encode_message("/a")
    for _ in range(1000):
        data = encode_bundle([data])
    with pytest.raises(ShapeError, match="within one another"):
        decode_packet(data)
