"""The whole viewer in a browser: a page that is not blank and moves with the stream.

Starts the real process on a synthetic stream; the first tests need no browser.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion import rotation
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import PoseFormat, PoseFrame
from engine.motion.skeleton import SMPLX_55
from engine.text.words import TimedWord
from exporters.viewer.scene import VIEWS, Scene
from exporters.websocket import WebSocketServer

pytestmark = pytest.mark.viewer
ROOT = Path(__file__).resolve().parents[3]
STILL, ARMS_UP = 0.0, 1.2


@pytest.fixture
def viewer(server: WebSocketServer) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process, url = start(server.port)
    yield process, url
    process.kill()
    process.wait()


def start(port: int) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "exporters.viewer", "--ws", f"ws://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "--port", "8480"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"viewer: (http://127\.0\.0\.1:\d+)\n", line)
    assert found, f"the first line must be the address, got {line!r}"
    return process, found[1]


def pose(index: int, lift: float) -> PoseFrame:
    rotations = rotation.identity(55)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turn = np.array([0.0, 0.0, sign * (lift - 0.6)], np.float32)
        rotations[SMPLX_55.index(f"{side}_shoulder")] = rotation.exp(turn)
    face = np.zeros(51, np.float32)
    height = np.array([0.0, 1.28, 0.0], np.float32)
    sample = FrameClock().first_sample(index)
    return PoseFrame(index, sample, rotations, height, np.zeros(4, np.float32), face)


class Stream:
    """Sends frames of one pose with audio, words and stats until stopped."""

    def __init__(self, server: WebSocketServer) -> None:
        self._server = server
        self._index = 0

    def send(self, lift: float) -> None:
        self._index += 1
        sample = FrameClock().first_sample(self._index)
        tone = np.sin(np.arange(sample, sample + 533) * 0.2).astype(np.float32) * 0.5
        self._server.broadcast_audio(sample, tone)
        self._server.send(pose(self._index, lift))
        if self._index % 15 == 0:
            at = sample / 16000
            self._server.broadcast_words([TimedWord("hello", at, at + 0.4)])
            latency = {"p50": 41.0, "p95": 52.5}
            self._server.broadcast_stats({"audio_to_pose_ms": latency, "events": {"overrun": 2}})


def test_sigterm_ends_it_at_once_and_cleanly(viewer: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = viewer
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_two_viewers_take_two_addresses(
    server: WebSocketServer, viewer: tuple[subprocess.Popen[str], str]
) -> None:
    other, url = start(server.port)
    try:
        assert url != viewer[1]
    finally:
        other.kill()
        other.wait()


@pytest.mark.posix
def test_it_ends_when_the_program_that_started_it_is_gone(server: WebSocketServer) -> None:
    viewer = [sys.executable, "-m", "exporters.viewer", "--port", "8490"]
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
    )
    command = [sys.executable, "-c", code, *viewer, "--ws", f"ws://127.0.0.1:{server.port}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert until(lambda: not alive(int(result.stdout)))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.joinpath("self").exists():
        return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode == 0


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_without_viser_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ConfigError, match="pip install"):
        Scene("127.0.0.1", 8500)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scene, MagicMock, dict]]:
    """A scene on a fake viser that records its calls, and the open pages."""
    fake, pages = MagicMock(), {}
    fake.ViserServer.return_value.get_port.return_value = 8081
    fake.ViserServer.return_value.get_clients.side_effect = lambda: pages
    fake.ViserServer.return_value.scene.add_mesh_simple.side_effect = lambda *_, **__: MagicMock(
        spec=["vertices", "remove"], vertices=None
    )
    monkeypatch.setitem(sys.modules, "viser", fake)
    scene = Scene("127.0.0.1", 8081)
    scene.show_format(PoseFormat())
    yield scene, fake.ViserServer.return_value, pages
    scene.close()


def shown(scene: Scene) -> bool:
    return any(handle.vertices is not None for handle in scene._handles.values())


def test_nothing_is_sent_while_no_page_is_open(watched) -> None:
    scene, _, pages = watched
    scene.show(pose(0, STILL))
    assert not shown(scene)
    pages[0] = MagicMock()
    scene.show(pose(1, STILL))
    assert all(handle.vertices is not None for handle in scene._handles.values())


def test_a_page_opened_later_sees_the_last_frame(watched) -> None:
    scene, viser, _ = watched
    scene.show(pose(0, STILL))
    welcome = viser.on_client_connect.call_args.args[0]
    welcome(MagicMock())
    assert shown(scene)


def test_the_avatar_is_built_again_only_for_another_format(watched) -> None:
    scene, viser, _ = watched
    built = viser.scene.add_mesh_simple.call_count
    scene.show_format(PoseFormat())
    assert viser.scene.add_mesh_simple.call_count == built
    old = list(scene._handles.values())
    scene.show_format(PoseFormat(face=FLAME_100))
    assert viser.scene.add_mesh_simple.call_count == 2 * built
    assert all(handle.remove.called for handle in old)


def test_views_move_the_cameras_of_all_pages_to_the_avatar(watched) -> None:
    scene, viser, pages = watched
    pages.update({0: MagicMock(), 1: MagicMock()})
    frame = pose(0, STILL)
    frame.translation[:] = (1.0, 1.28, -2.0)
    scene.show(frame)
    scene.look("nonsense")
    scene.look("figure")
    for page in pages.values():
        assert page.camera.look_at[0] == pytest.approx(1.0)
        assert page.camera.position[2] == pytest.approx(VIEWS["figure"].position[2] - 2.0)
    assert viser.initial_camera.look_at[0] == pytest.approx(1.0), "pages to come look there too"
    scene.look("face")
    assert 1.3 < pages[0].camera.look_at[1] < 1.7


def test_no_page_can_open_a_tunnel(watched) -> None:
    _, viser, _ = watched
    assert viser.request_share_url() is None


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_stream_moving(
    server: WebSocketServer, viewer: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    from bench.plots import screenshot

    stream = Stream(server)
    with screenshot.browser() as browser:
        browser.open(viewer[1], 800, 600)
        still = wait_for_picture(browser, stream, STILL)
        assert figure_colours(still) > 0.01, "the avatar is not in the picture"
        raised = wait_for_picture(browser, stream, ARMS_UP, other_than=still)
        changed = np.abs(still.astype(int) - raised.astype(int)).max(2) > 40
        assert changed[:450].mean() > 0.004, "the picture does not move with the stream"
        check_the_panel(browser, stream)
        assert not [line for line in browser.console() if "Error" in line]


def wait_for_picture(browser, stream: Stream, lift: float, other_than=None) -> np.ndarray:
    """The page once it shows the avatar (and has changed), fed continuously."""
    for _ in range(60):
        for _ in range(15):
            stream.send(lift)
            browser.wait(1 / 30)
        picture = decode(browser.screenshot())
        if other_than is None and figure_colours(picture) > 0.01:
            return picture
        if other_than is not None:
            changed = np.abs(picture.astype(int) - other_than.astype(int)).max(2) > 40
            if changed[:450].mean() > 0.004:
                return picture
    return picture


def figure_colours(picture: np.ndarray) -> float:
    """Share of pixels closer to the shirt's blue-green than to background or panels."""
    red, green, blue = (picture[:360, :, i].astype(int) for i in range(3))
    return float(((green - red > 45) & (blue - red > 50)).mean())


def check_the_panel(browser, stream: Stream) -> None:
    browser.evaluate("document.getElementById('open').click()")
    browser.click(*browser.evaluate(CENTRE_OF_SOUND))
    for _ in range(60):
        stream.send(STILL)
        browser.wait(1 / 30)
    text = browser.evaluate("document.body.innerText")
    assert "41.0 / 52.5 ms" in text
    assert re.search(r"overrun\s+2", text)
    assert "hello" in text
    assert browser.evaluate("sound.context.state") == "running"
    assert browser.evaluate("wave.buckets.size") > 50


CENTRE_OF_SOUND = (
    "(() => { const r = document.getElementById('sound').getBoundingClientRect();"
    " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
)


def decode(png: bytes) -> np.ndarray:
    """Pixels `[H, W, 3]`."""
    from imageio.v3 import imread  # comes with viser

    return imread(png, extension=".png")[..., :3]
