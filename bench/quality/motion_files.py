"""Motion files of all supported kinds, and folders of them.

A file is a clip or take of the training, a recording of `emage-render`, or a file of BEAT2. The
name of a take is its file name without the prefixes `res_` and `gt_`, which the authors' code gives
to renderings and ground truth.
"""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import ConfigError
from engine.motion.npz_clip import motion_of, read_arrays
from engine.motion.pose import Motion
from training.data.clips import ARRAYS, load_clip

_PREFIXES = ("res_", "gt_")
_MOTIONS = (".npz",)
_SOUNDS = (".wav", ".flac", ".ogg")
_WORDS = (".textgrid", ".tsv")
# Folders of BEAT2's official layout.
_FOLDERS = ("", "smplxflame_30", "wave16k", "textgrid")


def read_motion(path: Path) -> Motion:
    """Motion in `path`; raises GestureError with the problem."""
    arrays = read_arrays(path)
    if ARRAYS[0] in arrays:
        return load_clip(path)[0]
    return motion_of(arrays)


def take_name(path: Path) -> str:
    """Name of the take that a file belongs to."""
    for prefix in _PREFIXES:
        if path.stem.startswith(prefix):
            return path.stem.removeprefix(prefix)
    return path.stem


def _files(folder: Path, endings: Sequence[str], prefix: str = "") -> dict[str, Path]:
    found: dict[str, Path] = {}
    for part in _FOLDERS:
        if (folder / part).is_dir():
            for path in sorted((folder / part).iterdir()):
                visible = not path.name.startswith(".")
                if visible and path.suffix.lower() in endings and path.stem.startswith(prefix):
                    found.setdefault(take_name(path), path)
    return found


def motion_files(place: Path, prefix: str = "") -> dict[str, Path]:
    """Motion files by name of take, in a folder, or the single file `place`.

    prefix: of the files to use if a folder has several kinds. ConfigError without any.
    """
    if place.is_file():
        return {take_name(place): place}
    found = _files(place, _MOTIONS, prefix) or _files(place, _MOTIONS)
    if not found:
        raise ConfigError(f"no motion (*.npz) in {place}; expected a folder of takes or one file")
    return found


def sound_files(folder: Path) -> dict[str, Path]:
    """Audio files by name of take."""
    return _files(folder, _SOUNDS)


def word_files(folder: Path) -> dict[str, Path]:
    """Files of timed words by name of take."""
    return _files(folder, _WORDS)
