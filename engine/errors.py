"""The one tree of errors.

    GestureError
      ConfigError        a value in a configuration or on a command line
      BundleError        a model directory: missing, foreign or misshapen
      ShapeError         an array at a public boundary
      AudioError         sound that cannot be read or used
        AudioDeviceError   a microphone or loudspeaker
      TranscriptError    words that cannot be read or placed
      ClipError          a motion clip: a file or arrays that cannot be read
      KernelError        a backend that cannot run here or failed its parity check
        MissingBackendError  its library is not installed
      ExportError        a receiver, a port or a file to write
      SessionError       a part of a live session failed in a way that nobody foresaw

Every message says what was expected, what came, and what to do. Faults of real time (a late frame,
a slow client) are not errors: they are counted events, see `engine.events`.
"""


class GestureError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigError(GestureError):
    """A configuration value is missing, unknown or out of range."""


class BundleError(GestureError):
    """A model directory cannot be loaded as it lies on disk."""


class ShapeError(GestureError):
    """An array at a public boundary has the wrong shape or type."""


class AudioError(GestureError):
    """Sound cannot be read, decoded or used."""


class AudioDeviceError(AudioError):
    """A microphone or loudspeaker is missing or refused to open."""


class TranscriptError(GestureError):
    """Words cannot be read or placed in time."""


class ClipError(GestureError):
    """A motion clip on disk is damaged, lacks a part or is misshapen."""


class KernelError(GestureError):
    """A compute backend is unknown, missing, or did not match the eager one."""


class MissingBackendError(KernelError):
    """A compute backend's library is not installed; the message says how to get it."""


class ExportError(GestureError):
    """A receiver, a port or an output file cannot be used."""


class SessionError(GestureError):
    """A part of a live session raised an exception that is not a GestureError."""


def as_gesture_error(error: BaseException, part: str) -> GestureError:
    """`error`, or a SessionError that names the `part` that raised it and what to do."""
    if isinstance(error, GestureError):
        return error
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    found = SessionError(
        f"{part} failed unexpectedly ({text}); what was made before is kept: start again, and "
        "report this line if it comes back"
    )
    found.__cause__ = error
    return found
