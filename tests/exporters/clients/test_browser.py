"""The example page in a real browser, fed by the real server."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest

from bench.plots.screenshot import find_browser
from engine.motion.pose import Motion, PoseChunk

FRAMES = 90

# Holds the example page in a frame of its own origin and reports what it received.
HARNESS = """
<iframe id="page" src="/index.html?ws=SERVER" width="640" height="480"></iframe>
<script>
const tell = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) });
let told = 0;
setInterval(() => {
  const page = document.getElementById("page").contentWindow, stream = page.stream;
  if (told === 0 && stream && stream.hello) { told = 1; tell({ ready: true }); }
  if (told === 1 && stream.frames >= COUNT) {
    told = 2;
    tell({
      frames: stream.frames, first: stream.first, last: stream.pose.frame, gaps: stream.gaps,
      time: stream.pose.time, flags: stream.pose.flags, error: stream.error,
      face: Array.from(stream.pose.face), positions: stream.positions(),
      names: stream.hello.skeleton.names.length, title: page.document.title,
    });
  }
}, 20);
</script>
"""


class Site:
    """Serves the page and the harness on loopback; `reports` yields the reports."""

    def __init__(self, page: bytes, harness: bytes) -> None:
        self.reports: Queue = Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(harness if self.path.startswith("/harness") else page)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                site.reports.put(json.loads(body))

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/harness"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def browse(tmp_path):
    """Open an address in a headless Chromium of its own, closed at the end."""
    started = []

    def start(url):
        quiet = ("background-networking", "component-update", "default-apps", "sync", "quic", "gpu")
        arguments = ["--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={tmp_path}"]
        arguments += [f"--disable-{name}" for name in quiet]
        # A port for debugging keeps a headless Chromium from ending with the page's load.
        started.append(
            subprocess.Popen(
                [find_browser(), *arguments, "--remote-debugging-port=0", url],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.mark.browser
def test_a_page_receives_every_frame_in_order(server, make_frame, fmt, root, browse):
    page = (root / "exporters/clients/browser/index.html").read_bytes()
    harness = HARNESS.replace("SERVER", f"ws://127.0.0.1:{server.port}")
    site = Site(page, harness.replace("COUNT", str(FRAMES)).encode())
    try:
        browse(site.url)
        assert site.reports.get(timeout=60) == {"ready": True}
        for k in range(FRAMES):
            server.send(make_frame(k))
        seen = site.reports.get(timeout=60)
    finally:
        site.close()
    last = make_frame(FRAMES - 1)
    assert (seen["frames"], seen["first"], seen["last"], seen["gaps"]) == (90, 0, 89, 0)
    assert (seen["time"], seen["flags"], seen["error"]) == (last.sample / 16000, last.flags, "")
    assert (seen["names"], seen["title"]) == (55, "emage-live")
    assert seen["face"] == pytest.approx(last.face, abs=1e-6)
    # The page's own kinematics give the joint positions of this project.
    ours = Motion(fmt, chunk(last)).world_positions()[0]
    assert len(seen["positions"]) == 55
    for theirs, mine in zip(seen["positions"], ours, strict=True):
        assert theirs == pytest.approx(mine, abs=1e-4)


def chunk(frame) -> PoseChunk:
    names = ("rotations", "translation", "contacts", "face")
    return PoseChunk(frame.index, **{name: getattr(frame, name)[None] for name in names})
