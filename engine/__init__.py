"""Speech in, poses out: live, full-body co-speech motion.

The names in `__all__` are the public interface. Each is loaded when it is first used, so that a
program which needs one light module does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.bundle.io import DEFAULT_BUNDLE, load_bundle
    from engine.errors import GestureError
    from engine.generate.schedule import Schedule
    from engine.motion.pose import PoseChunk, PoseFrame, PoseSink
    from engine.session.base import SessionOptions
    from engine.session.live import LiveSession
    from engine.session.render import render
    from engine.stream.pool import StreamPool
    from engine.stream.select_step import select_step
    from engine.stream.stream import GestureStream
    from engine.text.words import TimedWord

__all__ = [
    "DEFAULT_BUNDLE",
    "GestureError",
    "GestureStream",
    "LiveSession",
    "PoseChunk",
    "PoseFrame",
    "PoseSink",
    "Schedule",
    "SessionOptions",
    "StreamPool",
    "TimedWord",
    "load_bundle",
    "render",
    "select_step",
]

_MODULES = {
    "DEFAULT_BUNDLE": "engine.bundle.io",
    "GestureError": "engine.errors",
    "GestureStream": "engine.stream.stream",
    "LiveSession": "engine.session.live",
    "PoseChunk": "engine.motion.pose",
    "PoseFrame": "engine.motion.pose",
    "PoseSink": "engine.motion.pose",
    "Schedule": "engine.generate.schedule",
    "SessionOptions": "engine.session.base",
    "StreamPool": "engine.stream.pool",
    "TimedWord": "engine.text.words",
    "load_bundle": "engine.bundle.io",
    "render": "engine.session.render",
    "select_step": "engine.stream.select_step",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
