import json
import random
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from engine.errors import ConfigError, ExportError, GestureError
from engine.events import REJECTED_MESSAGE, SLOW_CLIENT
from engine.motion.pose import PoseFrame
from engine.text.words import TimedWord
from exporters import wire
from exporters.websocket import LARGEST_MESSAGE, MOST_CLIENTS, WebSocketServer
from exporters.websocket_client import WebSocketClient

QUEUED = 90


def url(server):
    return f"ws://127.0.0.1:{server.port}"


@pytest.fixture
def client(server):
    with WebSocketClient(url(server)) as result:
        yield result


def settle(client):
    """Return once the server has handled all messages of this client; other messages are lost."""
    client.send("ping")
    messages = []
    while (message := client.receive(20)) != {"type": "pong"}:
        assert message is not None
        messages.append(message)
    return messages


def forgotten(server, client):
    """Return once `client` is the only one left."""
    while len(server._clients) > 1:
        settle(client)


def test_frames_arrive_in_order_and_whole(server, client, make_frame, fmt):
    settle(client)
    for k in range(60):
        server.send(make_frame(k))
    frames = [client.receive(5) for _ in range(60)]
    assert [f.index for f in frames] == list(range(60))
    np.testing.assert_array_equal(frames[7].rotations, make_frame(7).rotations)
    assert client.format == fmt


def test_a_client_receives_its_subscriptions_only(server, client, make_frame):
    def say_all():
        server.broadcast_audio(160, np.full(4, 0.5, np.float32))
        server.broadcast_words([TimedWord("hello", 0.5, 1.0)])
        server.broadcast_stats({"late_frames": 0})
        server.send(make_frame(1))
        return settle(client)

    settle(client)
    assert [m.index for m in say_all()] == [1]
    client.subscribe(audio=True, stats=True, words=True, json_frames=True)
    settle(client)
    audio, words, stats, frame = say_all()
    assert (audio.first_sample, audio.samples.tolist()) == (160, [0.5] * 4)
    expected = [{"word": "hello", "start": 0.5, "end": 1.0}]
    assert words == {"type": "words", "words": expected}
    assert stats == {"type": "stats", "late_frames": 0}
    assert (frame["type"], frame["frame"]) == ("frame", 1)
    client.subscribe()
    settle(client)
    assert [m.index for m in say_all()] == [1]


def test_messages_of_a_client_reach_the_control_in_order(client, control, events):
    client.send_audio(np.array([0.5, -0.5], np.float32))
    client.send("audio", rate=24000)
    client.send_audio(np.zeros(3, np.float32))
    client.send("words", words=[{"word": "hi", "start": 0.0, "end": 0.25}])
    for command in ("end", "cancel", "reset"):
        client.send(command)
    settle(client)
    first, second, *rest = control.log
    assert (first[0], first[1].tolist(), first[2]) == ("audio", [0.5, -0.5], 16000)
    assert (second[0], len(second[1]), second[2]) == ("audio", 3, 24000)
    assert rest == [("words", [TimedWord("hi", 0.0, 0.25)]), ("end",), ("cancel",), ("reset",)]
    assert not any(events.snapshot().values())


def test_the_rate_is_each_clients_own(server, control):
    with WebSocketClient(url(server)) as one, WebSocketClient(url(server)) as other:
        one.send("audio", rate=8000)
        settle(one)
        other.send_audio(np.zeros(2, np.float32))
        settle(other)
    assert control.log[0][2] == 16000


@pytest.mark.parametrize("message", ["{", '{"type":"shutdown"}', b"\0", '{"type":"audio"}'])
def test_a_bad_message_is_answered_and_counted(
    message, client, control, events, make_frame, server
):
    client.send_raw(message)
    (answer,) = settle(client)
    assert answer["type"] == "error"
    assert len(answer["message"]) > 10
    assert events.snapshot()[REJECTED_MESSAGE] == 1
    server.send(make_frame(4))
    assert client.receive(5).index == 4
    assert control.log == []


def test_a_refusing_control_is_an_answer(client, control, events):
    control.refusal = ConfigError("the sound of this stream comes from the microphone")
    client.send_audio(np.zeros(2, np.float32))
    assert settle(client) == [{"type": "error", "message": str(control.refusal)}]
    assert events.snapshot()[REJECTED_MESSAGE] == 1


def test_a_slow_client_loses_its_oldest_frames_and_delays_no_other(server, events, make_frame):
    """The slow client reads nothing for 1500 frames, the good one reads each before the next."""
    frames = [make_frame(k) for k in range(1500)]
    with WebSocketClient(url(server)) as slow, WebSocketClient(url(server)) as good:
        settle(slow)
        settle(good)
        for frame in frames:
            server.send(frame)
            assert good.receive(5).index == frame.index
        lost = events.snapshot()[SLOW_CLIENT]
        queued = max(len(client.queue) for client in server._clients)
        buffered = [c.connection.transport.get_write_buffer_size() for c in server._clients]
        seen = [m.index for m in settle(slow) if isinstance(m, PoseFrame)]
    assert queued == QUEUED
    assert max(buffered) < 64 * 1024
    assert lost > 500
    assert len(seen) == len(frames) - lost
    assert seen == sorted(seen)
    assert seen[-QUEUED:] == list(range(1500 - QUEUED, 1500))


def test_sound_cannot_push_frames_out_of_a_slow_clients_queue(server, events, make_frame):
    with WebSocketClient(url(server)) as slow:
        slow.subscribe(audio=True)
        settle(slow)
        for k in range(40):
            server.send(make_frame(k))
        for k in range(5000):
            server.broadcast_audio(160 * k, np.zeros(160, np.float32))
        kinds = [isinstance(m, PoseFrame) for m in settle(slow)]
    assert sum(kinds) == 40
    assert events.snapshot()[SLOW_CLIENT] == 5000 - (len(kinds) - 40) > 0


def knock(server, origin):
    """The first word of the server's answer, or the status of its refusal."""
    try:
        with connect(url(server), origin=origin, proxy=None) as connection:
            return json.loads(connection.recv(timeout=5))["type"]
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        *((f"http://{host}:8000", True) for host in ("127.0.0.1", "localhost", "[::1]")),
        ("https://localhost", True),
        ("https://mine.example", True),
        ("https://Mine.Example/", True),
        ("https://mine.example:443", True),
        ("https://mine.example:444", False),
        ("http://mine.example", False),
        ("https://mine.example.evil.example", False),
        ("http://evil.example", False),
        ("http://localhost.evil.example:8000", False),
        ("http://evil.example?127.0.0.1", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://[::1", False),
        ("null", False),
        ("file://", False),
        ("", False),
    ],
)
def test_only_pages_of_this_machine_or_listed_ones_may_connect(
    origin, welcome, fmt, control, events
):
    server = WebSocketServer(
        *("127.0.0.1", 0),
        control=control,
        events=events,
        allowed_origins=["https://Mine.Example/"],
    )
    server.open(fmt)
    assert knock(server, origin) == ("hello" if welcome else 403)
    server.close()


def test_pages_without_an_origin_may_connect_if_allowed(fmt, control, events):
    server = WebSocketServer(
        *("127.0.0.1", 0), control=control, events=events, allowed_origins=["null"]
    )
    server.open(fmt)
    assert knock(server, "null") == "hello"
    assert knock(server, "http://evil.example") == 403
    server.close()


def test_an_allowed_origin_that_is_none_is_refused_at_the_start(control, events):
    with pytest.raises(ConfigError, match="an origin has neither a path nor a user"):
        WebSocketServer(
            *("127.0.0.1", 0),
            control=control,
            events=events,
            allowed_origins=["https://mine.example/page"],
        )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "b" * 70 + ".local", "my..host"])
def test_a_host_that_cannot_be_found_is_one_error(host, fmt, control, events):
    server = WebSocketServer(host, 0, control=control, events=events)
    with pytest.raises(ExportError, match="cannot serve a WebSocket"):
        server.open(fmt)
    server.close()


def test_a_second_origin_header_is_no_way_round(server):
    headers = [("Origin", "http://localhost"), ("Origin", "http://evil.example")]
    with pytest.raises(InvalidStatus):
        connect(url(server), additional_headers=headers, proxy=None)


def test_a_browser_pointed_at_the_server_gets_the_page(server):
    base = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{base}/?ws=x") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"new WebSocket" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"{base}/../wire.py")
    missing.value.close()
    assert missing.value.code == 404


def test_a_port_in_use_names_it(server, fmt, control, events):
    second = WebSocketServer("127.0.0.1", server.port, control=control, events=events)
    with pytest.raises(ExportError, match=f"{server.port} is in use.*choose another"):
        second.open(fmt)
    second.close()
    with pytest.raises(ExportError, match=r"192\.0\.2\.1"):
        WebSocketServer("192.0.2.1", 0, control=control, events=events).open(fmt)


def test_close_delivers_queued_messages_and_may_be_repeated(fmt, control, events, make_frame):
    server = WebSocketServer("127.0.0.1", 0, control=control, events=events)
    server.send(make_frame(0))  # not open: no client is connected
    server.close()
    server.open(fmt)
    with WebSocketClient(url(server)) as client:
        settle(client)
        for k in range(50):
            server.send(make_frame(k))
        server.close()
        server.close()
        server.send(make_frame(50))
        assert [client.receive(5).index for _ in range(50)] == list(range(50))
        with pytest.raises(ExportError, match="closed"):
            client.receive(5)
    with pytest.raises(ExportError, match="start emage-live"):
        WebSocketClient(url(server))
    server.open(fmt)  # the port is free again
    server.close()


def test_close_does_not_wait_for_a_client_that_never_reads(server, make_frame):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(HANDSHAKE)
        assert raw.recv(12) == b"HTTP/1.1 101"
        for k in range(1500):
            server.send(make_frame(k % 10))
        server.close()  # would block for ever and exceed the test's time limit


def test_no_more_clients_than_there_is_room_for(server):
    crowd = [WebSocketClient(url(server)) for _ in range(MOST_CLIENTS)]
    with pytest.raises(ExportError, match="503"):
        WebSocketClient(url(server))
    crowd.pop().close()
    settle(crowd[0])
    for client in crowd:
        client.close()


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def hostile_messages(count):
    """Random bytes, random JSON, right names with wrong values, huge numbers, deep nests."""
    rng = random.Random(0)
    values = [
        *(None, True, -1, 0, 3.5, 10**30, 1e308, float("nan"), float("inf"), "", "x" * 300),
        *([], {}, [[]], {"type": "reset"}, "\ud800", "\0", -0.0, 16000, "16000"),
    ]
    word = {"word": "a", "start": 0.0, "end": 1.0}

    def one():
        match rng.randrange(7):
            case 0:
                return rng.randbytes(rng.randrange(400))
            case 1:
                return json.dumps(rng.choice(values))
            case 2:
                return json.dumps({"type": rng.choice(values), "rate": rng.choice(values)})
            case 3:
                kind = rng.choice(["audio", "words", "subscribe", "ping", "end", "hello"])
                fields = {k: rng.choice(values) for k in ("rate", "words", "audio", "format")}
                return json.dumps({"type": kind, **fields})
            case 4:
                fields = {rng.choice(list(word)): rng.choice(values)}
                return json.dumps({"type": "words", "words": [word | fields]})
            case 5:
                return '{"type":"words","words":' + rng.choice("[{") * rng.randrange(1, 5000)
            case _:
                text = json.dumps({"type": "audio", "rate": 8000})
                return text[: rng.randrange(len(text))] + chr(rng.randrange(32, 0x2FFF))

    return [one() for _ in range(count)]


def refused(message):
    try:
        if isinstance(message, bytes):
            wire.decode_pcm(message)
        else:
            wire.parse_client_message(message)
    except GestureError:
        return True
    return False


def test_ten_thousand_hostile_messages_and_a_good_client_is_served(
    server, events, make_frame, control
):
    """The good client receives every frame before the next 40 hostile messages are sent."""
    messages = hostile_messages(10_000)
    with WebSocketClient(url(server)) as hostile, WebSocketClient(url(server)) as good:
        settle(good)
        for k, message in enumerate(messages):
            hostile.send_raw(message)
            if k % 40 == 0:
                server.send(make_frame(k))
                assert good.receive(5).index == k
                assert max(len(client.queue) for client in server._clients) <= 2 * QUEUED
        # Some of the messages are pings, so wait for the answer to a unique one.
        messages.append('{"type":"the last one"}')
        hostile.send_raw(messages[-1])
        while "the last one" not in str(hostile.receive(20)):
            pass
        assert settle(good) == []
    bad = sum(map(refused, messages))
    assert events.snapshot()[REJECTED_MESSAGE] == bad > 5000
    assert len(control.log) <= len(messages) - bad


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\r\n\r\n", b"\0" * 5000, b"GET / HTTP/1.1\r\n", b"\x16\x03\x01" + b"x" * 500),
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
        *(HANDSHAKE + tail for tail in (b"", b"\xff" * 200, b"\x82\xff" + b"\xff" * 8)),
        HANDSHAKE + b"\x81\x82\0\0\0\0\xff\xfe",  # a text that is not UTF-8
        HANDSHAKE + b"\x81\x01a",  # without a mask
    ],
)
def test_strangers_on_the_port_do_no_harm(data, server, client, make_frame, caplog):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(data)
        settle(client)
        server.send(make_frame(3))
        assert client.receive(5).index == 3
    forgotten(server, client)
    assert caplog.text == ""


def test_a_message_beyond_the_limit_ends_that_connection_only(server, client, events, make_frame):
    bad = WebSocketClient(url(server))
    bad.send_raw(bytes(LARGEST_MESSAGE + 2))
    with pytest.raises(ExportError, match="closed"):
        bad.receive(5)
    bad.close()
    forgotten(server, client)
    server.send(make_frame(3))
    assert client.receive(5).index == 3
    assert events.snapshot()[REJECTED_MESSAGE] == 1


def test_a_connection_that_breaks_off_is_forgotten(server, make_frame):
    with connect(url(server), proxy=None) as connection:
        connection.recv(timeout=5)
        connection.socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
    with WebSocketClient(url(server)) as client:
        forgotten(server, client)
        server.send(make_frame(3))
        assert client.receive(5).index == 3


def test_a_late_client_learns_the_words_so_far(server, client):
    server.broadcast_words([TimedWord("hello", 0.5, 1.0)])
    settle(client)
    client.subscribe(words=True)
    expected = [{"word": "hello", "start": 0.5, "end": 1.0}]
    assert {"type": "words", "words": expected} in settle(client)


def test_a_client_after_an_hour_receives_all_words_in_parts(server, client):
    words = [TimedWord(f"unheard-of-{k}", k / 3, k / 3 + 0.25) for k in range(3000)]
    server.broadcast_words(words)
    client.subscribe(words=True)
    told = [m for m in settle(client) if isinstance(m, dict) and m["type"] == "words"]
    spoken = [word["word"] for message in told for word in message["words"]]
    assert spoken[-1000:] == [word.text for word in words[-1000:]]
