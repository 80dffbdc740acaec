import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError, GestureError, ShapeError
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import FrameFlag, HandReference, PoseFormat, PoseFrame
from engine.motion.skeleton import Skeleton
from engine.text.words import TimedWord
from exporters import wire

ONE_JOINT = PoseFormat(
    skeleton=Skeleton(("pelvis",), (-1,), ((0.0, 1.0, 0.0),)), clock=FrameClock(16000, 25)
)


def test_a_frame_is_these_bytes():
    frame = PoseFrame(
        index=25,
        sample=16000,
        rotations=np.array([[0.5, 0.1, 0.2, 0.3]], np.float32),
        translation=np.array([1, 2, 3], np.float32),
        contacts=np.array([0, 1, 0, 1], np.float32),
        face=np.full(51, 0.25, np.float32),
        flags=FrameFlag.HELD | FrameFlag.IDLE,
    )
    data = wire.FrameEncoder(ONE_JOINT).encode(frame)
    assert data[:24] == (
        b"EMGP" + b"\x01\0" + b"\x03\0" + b"\x19\0\0\0" + struct.pack("<d", 1.0) + b"\x01\0\x33\0"
    )
    floats = struct.unpack(f"<{3 + 4 + 4 + 51}f", data[24:])
    assert floats[:3] == (1, 2, 3)
    assert floats[3:7] == pytest.approx((0.1, 0.2, 0.3, 0.5))
    assert floats[7:11] == (0, 1, 0, 1)
    assert set(floats[11:]) == {0.25}


@pytest.mark.parametrize("index", [0, 1, 108_001, 2**32 - 1])
def test_frames_survive_encoding_bit_for_bit(index, make_frame, fmt):
    frame = replace(make_frame(7), index=index, sample=fmt.clock.first_sample(index))
    data = wire.FrameEncoder(fmt).encode(frame)
    assert len(data) == 24 + 4 * (3 + 55 * 4 + 4 + 51)
    back = wire.parse_server_message(data, fmt)
    assert (back.index, back.sample, back.flags) == (frame.index, frame.sample, frame.flags)
    for name in ("rotations", "translation", "contacts", "face"):
        np.testing.assert_array_equal(getattr(back, name), getattr(frame, name))


def test_an_encoder_does_not_change_earlier_messages(make_frame, fmt):
    encoder = wire.FrameEncoder(fmt)
    first = encoder.encode(make_frame(1))
    kept = bytes(bytearray(first))
    encoder.encode(make_frame(2))
    assert first == kept


@pytest.mark.parametrize("cut", [0, 3, 23, 24, 100, -1, -4])
def test_truncated_frames_are_refused(cut, make_frame, fmt):
    data = wire.FrameEncoder(fmt).encode(make_frame(0))
    with pytest.raises(ShapeError):
        wire.decode_frame(data[:cut] if cut >= 0 else data + bytes(-cut))
    with pytest.raises(ShapeError):
        wire.decode_frame(b"XXXX" + data[4:])


def test_json_frames_hold_the_same_values(make_frame):
    frame = make_frame(3)
    message = json.loads(wire.frame_json(frame, 16000))
    assert message["type"] == "frame"
    assert (message["frame"], message["time"], message["flags"]) == (3, 0.1, 3)
    np.testing.assert_allclose(message["rotations"], frame.rotations[:, [1, 2, 3, 0]], atol=1e-5)
    np.testing.assert_allclose(message["face"], frame.face, atol=1e-5)
    assert len(message["contacts"]) == 4


@pytest.mark.parametrize(
    "fmt",
    [
        PoseFormat(),
        replace(ONE_JOINT, face=FLAME_100),
        PoseFormat(clock=FrameClock(24000, 60), hand_reference=HandReference.SMPLX_MEAN),
    ],
)
@pytest.mark.parametrize("hop", [None, 1, 4])
def test_hello_describes_the_format(hop, fmt):
    fmt = replace(fmt, hop=hop)
    assert wire.parse_hello(wire.hello(fmt)) == fmt


def test_hello_has_the_keys_of_the_protocol(fmt):
    message = json.loads(wire.hello(fmt))
    assert message["type"] == "hello"
    assert (message["protocol"], message["fps"], message["sample_rate"]) == (1, 30, 16000)
    assert message["skeleton"]["names"][0] == "pelvis"
    assert len(message["skeleton"]["parents"]) == len(message["skeleton"]["rest_offsets"]) == 55
    assert message["face"] == {"basis": "arkit51", "names": list(fmt.face.coefficients)}
    assert message["units"] == "metres"
    assert message["handedness"] == "right, +Y up, facing +Z"
    assert message["hand_reference"] == "flat"


@pytest.mark.parametrize(
    "change",
    [
        *({"type": "stats"}, {"protocol": 2}, {"skeleton": None}, {"skeleton": {"names": []}}),
        *({"face": {"basis": "other"}}, {"fps": 0}, {"fps": "30"}, {"hand_reference": "fist"}),
    ],
)
def test_a_hello_of_another_kind_is_refused(change, fmt):
    with pytest.raises(ConfigError):
        wire.parse_hello(json.dumps(json.loads(wire.hello(fmt)) | change))


def test_audio_encodes_to_golden_bytes_and_decodes_again():
    samples = np.array([0.0, 0.5, -1.0, 1.0, 2.0], np.float32)
    data = wire.encode_audio(160_000, samples)
    assert data == (
        b"EMGA\x01\0\0\0\x05\0\0\0"
        + struct.pack("<d", 160_000.0)
        + struct.pack("<5h", 0, 16384, -32768, 32767, 32767)
    )
    packet = wire.decode_audio(data)
    assert packet.first_sample == 160_000
    assert packet.samples == pytest.approx([0, 0.5, -1, 1, 1], abs=1e-4)
    for broken in (data[:-1], data[:10], data + b"\0\0", b"EMGP" + data[4:]):
        with pytest.raises(ShapeError):
            wire.decode_audio(broken)


def test_pcm_of_16_bits_survives_unchanged():
    data = np.arange(-32768, 32768, dtype="<i2").tobytes()
    assert wire.encode_pcm(wire.decode_pcm(data)) == data
    with pytest.raises(ShapeError, match="even"):
        wire.decode_pcm(b"\0\0\0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"subscribe"}', wire.Subscribe()),
        (
            '{"type":"subscribe","audio":true,"stats":true,"words":true,"format":"json"}',
            wire.Subscribe(audio=True, stats=True, words=True, json_frames=True),
        ),
        ('{"type":"audio","rate":24000}', wire.AudioRate(24000)),
        (
            '{"type":"words","words":[{"word":"hello","start":0.1,"end":1}]}',
            wire.PushWords((TimedWord("hello", 0.1, 1.0),)),
        ),
        ('{"type":"words","words":[]}', wire.PushWords(())),
        *((f'{{"type":"{name}","extra":1}}', wire.Command(name)) for name in wire.COMMANDS),
    ],
)
def test_client_messages(text, expected):
    assert wire.parse_client_message(text) == expected


def test_words_are_sent_as_received():
    words = [TimedWord("a", 0.5, 0.75), TimedWord("b", 0.75, 1.0)]
    text = wire.text_message("words", {"words": wire.words_json(words)})
    assert wire.parse_client_message(text) == wire.PushWords(tuple(words))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "3", '"text"', "{}", '{"type":null}', '{"type":["reset"]}'),
        *('{"type":"shutdown"}', '{"type":"audio"}', '{"type":"audio","rate":7999}'),
        *('{"type":"audio","rate":96001}', '{"type":"audio","rate":16000.0}'),
        *('{"type":"audio","rate":true}', '{"type":"audio","rate":NaN}'),
        *('{"type":"subscribe","audio":1}', '{"type":"subscribe","format":"xml"}'),
        *('{"type":"words"}', '{"type":"words","words":{}}', '{"type":"words","words":[1]}'),
        '{"type":"words","words":[{"word":1,"start":0,"end":1}]}',
        '{"type":"words","words":[{"word":"a","start":"0","end":1}]}',
        '{"type":"words","words":[{"word":"a","start":NaN,"end":1}]}',
        '{"type":"words","words":[{"word":"a","start":0,"end":Infinity}]}',
        '{"type":"words","words":[{"word":"a","start":0,"end":1e999}]}',
        '{"type":"words","words":[{"word":"a","start":-1,"end":1}]}',
        '{"type":"words","words":[{"word":"a","start":1,"end":0}]}',
        '{"type":"words","words":[{"word":"a","start":0,"end":' + "9" * 400 + "}]}",
        '{"type":"audio","rate":' + "9" * 5000 + "}",
        '{"type":' + "9" * 4000 + "}",
        '{"type":"words","words":' + "[" * 20000,
        '{"type":"words","words":' + "[" * 900 + "]" * 900 + "}",
        '{"type":' * 15000,
        '{"type":"reset","pad":"' + "x" * wire.MOST_TEXT + '"}',
        '{"type":"\\ud800"}',
        '{"type":"words","words":' + json.dumps([{"word": "a", "start": 0, "end": 1}] * 1001) + "}",
    ],
)
def test_anything_else_is_refused_with_a_short_reason(text):
    with pytest.raises(GestureError) as caught:
        wire.parse_client_message(text)
    assert 10 < len(str(caught.value)) < 300
    str(caught.value).encode()  # a reason can be sent


def test_texts_are_json_for_everyone():
    text = wire.text_message("stats", {"p50": float("nan"), "deep": [{"x": float("inf")}], "n": 1})
    assert json.loads(text) == {"type": "stats", "p50": None, "deep": [{"x": None}], "n": 1}
    assert wire.parse_server_message(text, PoseFormat())["n"] == 1
