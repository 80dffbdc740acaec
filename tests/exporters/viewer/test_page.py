"""The page's server: files, events, bounded queues, a checked Host, a free port."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from bench.plots.screenshot import browser
from engine.errors import ExportError
from exporters.viewer.page import PageServer


@pytest.fixture
def page() -> Iterator[PageServer]:
    server = PageServer("127.0.0.1", 0)
    yield server
    server.close()


def get(page: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize(
    ("path", "part"),
    [("/", b"<iframe"), ("/?x=1", b"<iframe"), ("/page.js", b"EventSource"), ("/page.css", b"nav")],
)
def test_files_are_served(page: PageServer, path: str, part: bytes) -> None:
    status, body = get(page, path)
    assert status == 200
    assert part in body


@pytest.mark.parametrize("path", ["/nothing", "/../pyproject.toml", "/page.py", "/%2e%2e/"])
def test_nothing_else_is_served(page: PageServer, path: str) -> None:
    assert get(page, path)[0] == 404


def test_everything_the_page_loads_is_local(page: PageServer) -> None:
    for path in ("/", "/page.js", "/page.css"):
        body = get(page, path)[1]
        assert b"https://" not in body
        assert b"http://" not in body


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8080", 200), ("localhost:8080", 200), ("[::1]:8080", 200), ("evil.test", 403)],
)
def test_a_foreign_name_for_this_machine_is_refused(
    page: PageServer, host: str, status: int
) -> None:
    assert get(page, "/", Host=host)[0] == status
    assert get(page, "/view/face", "POST", Host=host)[0] == (204 if status == 200 else 403)


def test_views_are_passed_on(page: PageServer) -> None:
    assert get(page, "/view/face", "POST")[0] == 204
    assert page.views.get_nowait() == "face"


def test_events_reach_a_browser(page: PageServer) -> None:
    page.push("scene", {"port": 1234}, keep=True)
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.readline() == b"event: scene\n"
    assert json.loads(answer.readline().removeprefix(b"data: ")) == {"port": 1234}
    assert answer.readline() == b"\n"
    page.push_audio(320, 16000, np.array([0.0, 0.5, -1.0, 2.0], np.float32))
    assert answer.readline() == b"event: audio\n"
    body = json.loads(answer.readline().removeprefix(b"data: "))
    pcm = np.frombuffer(base64.b64decode(body.pop("pcm")), "<i2")
    assert body == {"first": 320, "rate": 16000}
    np.testing.assert_array_equal(pcm, [0, 16383, -32767, 32767])
    connection.close()


def test_a_browser_that_does_not_read_loses_the_oldest(page: PageServer) -> None:
    listener = page.subscribe()
    for number in range(1000):
        page.push("clock", {"time": number})
    assert listener.qsize() <= 256
    newest = [listener.get_nowait() for _ in range(listener.qsize())][-1]
    assert b'"time": 999' in newest
    page.unsubscribe(listener)
    page.push("clock", {"time": 1000})
    assert listener.empty()


def test_later_browsers_receive_the_last_kept_event(page: PageServer) -> None:
    for connected in (False, True):
        page.push("state", {"connected": connected}, keep=True)
    listener = page.subscribe()
    assert b"true" in listener.get_nowait()
    assert listener.empty()


_PLACES = """(() => {
  document.getElementById("state").textContent = "held: the model is late";
  document.getElementById("words").innerHTML = "<span>extraordinary</span>".repeat(12);
  const places = {};
  for (const name of ["header", "nav", "main", "iframe", "footer", "#state", "#sound", "aside"]) {
    const box = document.querySelector(name).getBoundingClientRect();
    places[name] = [box.left, box.top, box.right, box.bottom];
  }
  return places;
})()"""


def apart(a: list[float], b: list[float]) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.browser
def test_nothing_is_covered_in_windows_of_any_size(page: PageServer) -> None:
    page.push("stats", {"frames": 12, "events": {"late_frame": 3}}, keep=True)
    with browser() as chromium:
        for width, height in ((390, 844), (320, 568), (800, 600), (844, 390), (1280, 800)):
            chromium.open(f"http://127.0.0.1:{page.port}", width, height)
            while not chromium.evaluate(
                "document.readyState === 'complete' && !!document.querySelector('aside')"
            ):
                chromium.wait(0.05)
            places = chromium.evaluate(_PLACES)
            for name, (left, top, right, bottom) in places.items():
                inside = 0 <= left <= right <= width and 0 <= top <= bottom <= height
                assert inside, f"{name} leaves {width} x {height}: {places[name]}"
            assert apart(places["header"], places["nav"])
            assert apart(places["footer"], places["main"])
            assert places["iframe"] == places["main"]
            if width <= 960:
                assert apart(places["nav"], places["main"])
                assert places["aside"] == [0, 0, 0, 0], "the numbers cover the figure unasked"
                chromium.evaluate("document.getElementById('open').click()")
                assert chromium.evaluate(_PLACES)["aside"][2] > 0
            else:
                assert places["aside"][0] > 0.7 * width


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = PageServer("127.0.0.1", port)
        try:
            assert port < server.port <= port + 20
        finally:
            server.close()


def test_an_address_that_is_not_ours_is_an_error_with_advice() -> None:
    with pytest.raises(ExportError, match="--port"):
        PageServer("192.0.2.1", 8080)
