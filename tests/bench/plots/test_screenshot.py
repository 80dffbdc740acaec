"""DevTools client against a fake browser of two pipes and a list of answers."""

import base64
import contextlib
import json
import os
import struct

import pytest

from bench.plots import screenshot
from bench.plots.screenshot import Browser, find_browser


@pytest.fixture
def wire():
    """(browser, answer(*messages), sent()): answers are in the pipe before the question."""
    from_us, our_write = os.pipe()
    our_read, to_us = os.pipe()

    def answer(*messages):
        os.write(to_us, b"".join(json.dumps(m).encode() + b"\0" for m in messages))

    def sent():
        return [json.loads(part) for part in os.read(from_us, 1 << 16).split(b"\0")[:-1]]

    yield Browser(our_write, our_read), answer, sent, to_us
    for end in (from_us, our_write, our_read, to_us):
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_call_returns_its_answer_between_events(wire):
    page, answer, sent, _ = wire
    answer({"method": "Page.loaded", "params": {}}, {"id": 1, "result": {"a": 2}})
    assert page.call("Some.thing", x=3) == {"a": 2}
    assert sent() == [{"id": 1, "method": "Some.thing", "params": {"x": 3}}]
    assert page.messages == [{"method": "Page.loaded", "params": {}}]


def test_a_message_in_two_pieces_is_one_message(wire):
    page, _, _, to_us = wire
    os.write(to_us, b'{"id": 1, "re')
    assert page._read(0.0) is None
    os.write(to_us, b'sult": {}}\0{"method": "x"}\0')
    assert page.call("A.b") == {}
    page.wait(0.001)
    assert page.messages == [{"method": "x"}]


def test_an_error_and_the_end_of_the_browser_raise(wire):
    page, answer, _, to_us = wire
    answer({"id": 1, "error": {"message": "no such page"}})
    with pytest.raises(RuntimeError, match=r"Page\.go.*no such page"):
        page.call("Page.go")
    os.close(to_us)
    with pytest.raises(RuntimeError, match="ended"):
        page.call("Page.go")


def test_a_browser_without_response_times_out(wire, monkeypatch):
    monkeypatch.setattr(screenshot, "_ANSWER_S", 0.01)
    with pytest.raises(RuntimeError, match=r"did not answer Page\.go"):
        wire[0].call("Page.go")


def test_a_page_is_opened_in_a_session_and_captured(wire):
    page, answer, sent, _ = wire
    results = [{"targetId": "T"}, {"sessionId": "S"}, {}, {}, {}, {}, {}]
    results.append({"data": base64.b64encode(b"picture").decode()})
    answer(*({"id": i + 1, "result": result} for i, result in enumerate(results)))
    page.open("http://127.0.0.1:1", 320, 200)
    assert page.screenshot() == b"picture"
    messages = sent()
    assert [m.get("sessionId") for m in messages] == [None, None] + ["S"] * 6
    size = next(m["params"] for m in messages if m["method"].endswith("MetricsOverride"))
    assert (size["width"], size["height"]) == (320, 200)


def test_the_console_has_logs_and_exceptions(wire):
    page, answer, _, _ = wire
    log = {"args": [{"value": "a"}, {"value": 1}]}
    answer(
        {"method": "Runtime.consoleAPICalled", "params": log},
        {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": {"exception": "E"}}},
        {"method": "Log.entryAdded", "params": {"entry": {"text": "404"}}},
        {"method": "Page.other", "params": {}},
    )
    page.wait(0.01)
    assert page.console() == ["a 1", "E", "404"]


def test_without_a_browser_the_error_names_some(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browser() is None
    with pytest.raises(FileNotFoundError, match="chromium"), screenshot.browser():
        pass


@pytest.mark.browser
def test_a_real_page_is_captured_at_its_size():
    with screenshot.browser() as page:
        page.open("data:text/html,<body onload='console.log(6*7)'>hello", 200, 100)
        for _ in range(100):  # the answer to Page.navigate precedes loading
            if page.console():
                break
            page.wait(0.1)
        assert page.evaluate("document.body.textContent") == "hello"
        png = page.screenshot()
    assert struct.unpack(">II", png[16:24]) == (200, 100)
    assert page.console() == ["42"]
