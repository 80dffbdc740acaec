"""The scene in 3D, shown by viser; the only import of viser.

Meshes are created once per format; every frame then sends their vertices in one atomic block,
because rotations of nodes would be shown a frame or two before vertices. viser keeps only the
newest state of each node, so a slow browser skips frames and delays nothing.
"""

import io
from contextlib import redirect_stdout
from typing import Any, Final, NamedTuple

import numpy as np

from engine.errors import ConfigError, ExportError
from engine.motion.pose import FloatArray, PoseFormat, PoseFrame
from engine.system.privacy import stay_private
from exporters.viewer.avatar import DOUBLE_SIDED, Avatar

_Colour = tuple[int, int, int]
Point = tuple[float, float, float]
_COLOURS: Final[dict[str, _Colour]] = {
    "skin": (222, 165, 132),
    "shirt": (32, 94, 112),
    "trousers": (52, 56, 72),
    "shoes": (214, 208, 198),
    "lips": (188, 88, 84),
    "mouth": (44, 10, 14),
    "tongue": (186, 88, 90),
    "hair": (54, 36, 28),
    "white": (246, 246, 244),
    "iris": (70, 104, 128),
    "dark": (20, 14, 16),
    "lid": (212, 154, 122),
}
_SHADOWED: Final = ("skin", "shirt", "trousers", "shoes", "hair")
_FLOOR: Final[dict[str, Any]] = {
    "plane": "xz",
    "width": 8.0,
    "height": 8.0,
    "cell_size": 0.25,
    "cell_thickness": 0.6,
    "cell_color": (186, 194, 202),
    "section_size": 1.0,
    "section_color": (164, 174, 184),
    "fade_distance": 9.0,
    "fade_from": "origin",
    "plane_color": (203, 209, 215),
    "plane_opacity": 1.0,
    "shadow_opacity": 0.35,
}
# viser's own panel and notices are hidden; its canvas is shown at once.
_STYLE: Final = """<style>
[data-floating-window], .mantine-Notifications-root,
.mantine-Paper-root[style*="min-height: 3.5em"] { display: none !important; }
canvas[data-engine] { opacity: 1 !important;
  background: linear-gradient(#93a7bb, #cfd8e0 55%, #dde2e6); }
</style>"""


class View(NamedTuple):
    """A camera: metres from what it looks at, and the vertical field of view in radians.

    around_head: it looks at the head joint, otherwise at the floor under the avatar.
    """

    position: Point
    target: Point
    fov: float
    around_head: bool = False


VIEWS: Final = {
    "figure": View((0.0, 1.40, 4.2), (0.0, 0.86, 0.0), 0.52),
    "gesture": View((0.0, 1.46, 2.4), (0.0, 1.12, 0.05), 0.56),
    "face": View((0.12, 0.10, 1.30), (0.0, -0.02, 0.05), 0.42, around_head=True),
}
"""Available cameras; "figure" is the first."""


class Scene:
    """A viser server with the avatar in it.

    Raises ConfigError without viser, ExportError without a free port from `port` on.
    """

    def __init__(self, host: str, port: int) -> None:
        stay_private()
        try:
            import viser
        except ImportError as error:
            raise ConfigError(
                f"the viewer needs viser ({error}); pip install 'emage-live[viewer]'"
            ) from error
        try:
            # viser prints a greeting on standard output, where only this program's line belongs.
            with redirect_stdout(io.StringIO()):
                self._server: Any = viser.ViserServer(host=host, port=port, verbose=False)
        except OSError as error:
            raise ExportError(f"no port for the scene at {host}:{port} ({error})") from error
        _refuse_tunnels(self._server)
        self.port = int(self._server.get_port())
        self._handles: dict[str, Any] = {}
        self._avatar: Avatar | None = None
        self._format: PoseFormat | None = None
        self._last: PoseFrame | None = None
        self._floor: FloatArray = np.zeros(3, np.float32)
        self._head: FloatArray = np.array([0.0, 1.55, 0.0], np.float32)
        self._set_up_scene()
        self._server.on_client_connect(self._on_connect)

    def show_format(self, fmt: PoseFormat) -> None:
        """Build the avatar for `fmt`, in place of an earlier one of another format."""
        if fmt == self._format:
            return
        self._format, self._last = fmt, None
        for handle in self._handles.values():
            handle.remove()
        self._avatar = Avatar(fmt)
        with self._server.atomic():
            self._handles = {
                colour: self._server.scene.add_mesh_simple(
                    f"/avatar/{colour}",
                    vertices,
                    self._avatar.faces[colour],
                    color=_COLOURS[colour],
                    side="double" if colour in DOUBLE_SIDED else "front",
                    cast_shadow=colour in _SHADOWED,
                    receive_shadow=colour in _SHADOWED,
                )
                for colour, vertices in self._avatar.rest().items()
            }

    def show(self, frame: PoseFrame) -> None:
        """Show one frame; `show_format` comes first. Costs nothing without an open page."""
        self._last = frame
        if self._server.get_clients():
            self._send(frame)

    def look(self, view: str) -> None:
        """Move the cameras of all present and later pages to one of VIEWS; ignores other names."""
        if view not in VIEWS:
            return
        place = self._head if VIEWS[view].around_head else self._floor
        position, target = _add(place, VIEWS[view].position), _add(place, VIEWS[view].target)
        for client in self._server.get_clients().values():
            with client.atomic():
                _aim(client.camera, position, target, VIEWS[view].fov)
        _aim(self._server.initial_camera, position, target, VIEWS[view].fov)

    def close(self) -> None:
        """Stop serving."""
        with redirect_stdout(io.StringIO()):  # viser prints a farewell there too
            self._server.stop()

    def _send(self, frame: PoseFrame) -> None:
        if self._avatar is None:
            return
        vertices = self._avatar.vertices(frame)
        self._head = self._avatar.head_position
        self._floor = frame.translation * np.array([1.0, 0.0, 1.0], np.float32)
        with self._server.atomic():
            for colour, points in vertices.items():
                self._handles[colour].vertices = points
        self._server.flush()

    def _on_connect(self, _client: object) -> None:
        """Show the last frame, not the T-pose, to a page opened while the stream rests."""
        if self._last is not None:
            self._send(self._last)

    def _set_up_scene(self) -> None:
        server, scene = self._server, self._server.scene
        scene.set_up_direction("+y")
        server.gui.configure_theme(show_logo=False, show_share_button=False)
        server.gui.add_html(_STYLE)
        scene.configure_default_lights(enabled=False)
        scene.configure_environment_map("studio", environment_intensity=0.25)
        warm, cool = (255, 243, 228), (196, 216, 255)
        scene.add_light_directional(
            "/light/key", intensity=1.6, color=warm, position=(1.3, 3.0, 2.6), cast_shadow=True
        )
        scene.add_light_directional(
            "/light/rim", intensity=1.3, color=cool, position=(-1.6, 2.0, -2.4)
        )
        scene.add_light_hemisphere(
            "/light/sky", intensity=0.5, sky_color=(228, 236, 255), ground_color=(186, 172, 160)
        )
        scene.add_grid("/floor", **_FLOOR)
        self.look("figure")


def _refuse_tunnels(server: Any) -> None:
    """Refuse the tunnel to the internet that viser opens on request of any page."""
    server.request_share_url = lambda *_, **__: None


def _aim(camera: Any, position: Point, target: Point, fov: float) -> None:
    """Aim a client's camera or the initial one, which name the upward direction differently."""
    camera.position, camera.look_at, camera.fov = position, target, fov
    if hasattr(camera, "up_direction"):
        camera.up_direction = (0.0, 1.0, 0.0)
    else:
        camera.up = (0.0, 1.0, 0.0)


def _add(place: FloatArray, step: Point) -> Point:
    x, y, z = (float(p + s) for p, s in zip(place, step, strict=True))
    return x, y, z
