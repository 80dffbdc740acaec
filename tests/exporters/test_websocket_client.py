import socket
import threading

import numpy as np
import pytest
from websockets.sync.server import serve

from engine.errors import ConfigError, ExportError
from exporters.websocket_client import WebSocketClient


def test_without_a_server_the_error_names_the_command():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ExportError, match=f"{port}.*start emage-live with --ws"):
        WebSocketClient(f"ws://127.0.0.1:{port}")


def test_another_kind_of_server_is_detected():
    with serve(lambda connection: connection.send('{"type":"welcome"}'), "127.0.0.1", 0) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        port = other.socket.getsockname()[1]
        with pytest.raises(ConfigError, match="is this the address of an emage-live server"):
            WebSocketClient(f"ws://127.0.0.1:{port}")
        other.shutdown()
        thread.join()


def test_silence_is_none_and_a_lost_server_an_error(server):
    client = WebSocketClient(f"ws://127.0.0.1:{server.port}")
    assert client.receive(0.01) is None
    server.close()
    with pytest.raises(ExportError):
        client.receive(5)
    with pytest.raises(ExportError):
        client.send_audio(np.zeros(2, np.float32))
    client.close()
    client.close()
