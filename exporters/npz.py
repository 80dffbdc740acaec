"""Motion clips as .npz files with the keys of BEAT2: written as frames arrive, and read.

BEAT2's keys are poses (axis-angle), trans, expressions, betas, model, gender, mocap_frame_rate;
additional keys are face_basis, face_names, contacts, flags, first_sample, first_frame, sample_rate,
hand_reference, hop and the skeleton's names, parents and rest offsets. `engine.motion.npz_clip`
reads them.

Frames are first appended to a spool file beside the target, so memory stays bounded; `close` writes
the target atomically. If the process is killed, an earlier target stays as it was, and the next
recording to the same target first writes the spool to NAME.recovered.npz.
"""

import errno
import io
import itertools
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError, ExportError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.npz_clip import motion_of, read_arrays
from engine.motion.pose import Motion, PoseFormat, PoseFrame
from engine.motion.rotation import log
from engine.motion.skeleton import SMPLX_55
from exporters.spool import Spool

_CONTACTS: Final = 4
_BETAS: Final = 300
_BLOCK: Final = 16  # frames converted together for the spool
_PASS: Final = 4096  # frames copied at a time from the spool into the target
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the oldest date of a zip: equal motions, equal files


class NpzSink:
    """A PoseSink that writes one clip to `path`, if at least one frame arrived.

    note: None, or after `close` the reason why the target is missing or short. lost: whether
    received frames are missing from the target. Reports to `events` when an earlier take was
    recovered, when the disk is full (counted as LOST_DEVICE), and when it accepts frames again.
    """

    def __init__(self, path: Path, *, events: EventCounter) -> None:
        self.path = path
        self.note: str | None = None
        self.lost = False
        self._events = events
        self._partial = path.with_name(f".{path.name}.partial")
        self._spool: Spool | None = None
        self._block = _Block(0)
        self._refused = False  # by the disk, at the last attempt

    def open(self, fmt: PoseFormat) -> None:
        """Create the spool; ExportError for a path that cannot be written or another skeleton."""
        if fmt.skeleton.joint_names != SMPLX_55.joint_names:
            raise ExportError(
                f"an npz clip holds the {len(SMPLX_55.joint_names)} joints of SMPL-X, this model "
                f"has {len(fmt.skeleton.joint_names)} joints with other names or in another order"
            )
        if self.path.suffix != ".npz":
            raise ExportError(f"expected a file name ending in .npz, got {self.path}")
        try:
            if self.path.is_dir():
                raise ExportError(f"expected a file to write, got the folder {self.path}")
            spool = Spool(self.path)
            self._begin(spool, fmt)
        except OSError as error:
            raise ExportError(
                f"cannot write {self.path} ({error.strerror}); choose a name of common length in a "
                "folder that exists, is yours and has room"
            ) from error
        self._spool = spool
        self._block = _Block(fmt.face.width)

    def _begin(self, spool: Spool, fmt: PoseFormat) -> None:
        """Recover an earlier spool, then begin; a failure leaves no new file."""
        try:
            self._recover(spool)
        except BaseException:
            spool.keep()
            with suppress(OSError):
                self._partial.unlink()
            raise
        try:
            spool.begin(_header(fmt))
        except BaseException:
            spool.release()  # it is empty
            raise

    def send(self, frame: PoseFrame) -> None:
        """Add one frame; never raises for a fault of the disk."""
        if self._spool is None:
            return
        self._block.add(frame)
        if len(self._block) == _BLOCK:
            self._flush(self._spool)

    def close(self) -> None:
        """Write the target and remove the spool; without frames an earlier target stays."""
        if self._spool is None:
            return
        self._flush(self._spool)
        clip = _Clip(self._spool)
        try:
            if len(clip):
                self._ensure_folder()
                clip.write(self._partial)
                os.replace(self._partial, self.path)
            self._spool.release()
            if self.lost or self._refused:
                self.lost, self.note = True, f"{self.path} lacks frames: the disk took no more"
            elif not len(clip):
                self._events.report(f"no frame came: {self.path} was not written")
        except OSError as error:
            self._not_written(self._spool, error)
        # Last, so that an interrupted close can be repeated.
        self._spool = None

    def _flush(self, spool: Spool) -> None:
        try:
            if len(self._block):
                spool.append(self._block.take())
            else:
                spool.flush()
        except OSError as error:
            if not self._refused:
                self._refused = True
                self._events.count(LOST_DEVICE)
                self._events.report(
                    f"{self.path}: {error.strerror}; frames wait in memory, make room"
                )
        except MemoryError as error:
            if not self.lost:
                self._events.report(f"{self.path} lacks frames from now on: {error}")
            self.lost = True
        else:
            if self._refused:
                self._events.report(f"{self.path}: the disk takes frames again")
            self._refused = False

    def _ensure_folder(self) -> None:
        """Create the folder again where it was removed; the open spool still has the frames."""
        folder = self.path.parent
        if not folder.exists():
            folder.mkdir(parents=True)
            self._events.report(f"the folder {folder} was removed or moved; it was created again")

    def _not_written(self, spool: Spool, error: OSError) -> None:
        with suppress(OSError):
            self._partial.unlink()
        spool.keep()
        self._events.count(LOST_DEVICE)
        self.lost = True
        rest = "its frames are lost, since its folder was removed; record again"
        if spool.path.exists():
            remedy = "make room" if error.errno in _FULL else "mend that"
            rest = (
                f"its frames are in {spool.path}: {remedy}, the next recording to the same name "
                "recovers them"
            )
        self.note = f"{self.path} was not written ({error.strerror}); {rest}"

    def _recover(self, spool: Spool) -> None:
        """Write a clip from the spool of an earlier process; an unreadable one is set aside."""
        with suppress(FileNotFoundError):
            self._partial.unlink()
        if spool.header is None:
            return
        try:
            clip = _Clip(spool)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
            kept = _free_name(self.path.with_suffix(".unreadable.spool"))
            shutil.copyfile(spool.path, kept)
            self._events.report(f"an earlier recording that cannot be read was kept as {kept}")
            return
        if len(clip):
            target = _free_name(self.path.with_suffix(".recovered.npz"))
            clip.write(self._partial)
            os.replace(self._partial, target)
            self._events.report(
                f"recovered {len(clip)} frames of a recording that was cut off: {target}"
            )


def read_npz(path: Path) -> Motion:
    """Read the clip in `path`, of this project or of BEAT2; ExportError names the fault."""
    try:
        return motion_of(read_arrays(path))
    except ClipError as error:
        raise ExportError(f"{path} is not a motion clip that can be used: {error}") from error


def _record_type(face_width: int) -> np.dtype[Any]:
    joints = len(SMPLX_55.joint_names)
    return np.dtype(
        [
            ("index", "<i8"),
            ("first_sample", "<i8"),
            ("flags", "<i8"),
            ("poses", "<f4", (3 * joints,)),
            ("trans", "<f4", (3,)),
            ("expressions", "<f4", (face_width,)),
            ("contacts", "<f4", (_CONTACTS,)),
        ]
    )


_TRACKS: Final = ("poses", "trans", "expressions", "contacts", "first_sample", "flags")


class _Block:
    """Up to `_BLOCK` frames, copied on arrival and converted together."""

    def __init__(self, face_width: int) -> None:
        self._records = np.zeros(_BLOCK, _record_type(face_width))
        self._rotations = np.zeros((_BLOCK, len(SMPLX_55.joint_names), 4), np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, frame: PoseFrame) -> None:
        record = self._records[self._count]
        record["index"], record["first_sample"] = frame.index, frame.sample
        record["flags"] = int(frame.flags)
        record["trans"], record["contacts"] = frame.translation, frame.contacts
        record["expressions"] = frame.face
        self._rotations[self._count] = frame.rotations
        self._count += 1

    def take(self) -> bytes:
        """Return the records of all frames and empty the block."""
        count, self._count = self._count, 0
        records = self._records[:count]
        records["poses"] = log(self._rotations[:count]).reshape(count, -1)
        return records.tobytes()


class _Clip:
    """The clip in a spool; ValueError, KeyError and others for an unreadable header."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        with np.load(io.BytesIO(spool.header or b"")) as arrays:
            self._constants = {name: arrays[name] for name in arrays.files}
        self._record = _record_type(len(self._constants["face_names"]))

    def __len__(self) -> int:
        return self._spool.count(self._record.itemsize)

    def write(self, target: Path) -> None:
        """Write all tracks and constants without loading all frames."""
        first = next((int(records["index"][0]) for records in self._passes()), 0)
        with zipfile.ZipFile(target, "w") as archive:
            for name in _TRACKS:
                self._write_track(archive, name)
            for name, value in {**self._constants, "first_frame": first}.items():
                with _member(archive, name) as file:
                    np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)

    def _passes(self) -> Iterator[NDArray[Any]]:
        for data in self._spool.pieces(self._record.itemsize, _PASS):
            yield np.frombuffer(data, self._record)

    def _write_track(self, archive: zipfile.ZipFile, name: str) -> None:
        """Write one array `[T, ...]`, copied from the spool column by column."""
        column = self._record[name]
        header = {
            "descr": column.base.str,
            "fortran_order": False,
            "shape": (len(self), *column.shape),
        }
        with _member(archive, name) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for records in self._passes():
                file.write(np.ascontiguousarray(records[name]).tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w", force_zip64=True)


def _header(fmt: PoseFormat) -> bytes:
    file = io.BytesIO()
    np.savez(file, **_constants(fmt))
    return file.getvalue()


def _free_name(path: Path) -> Path:
    """`path`, or the first of NAME.2.SUFFIX, NAME.3.SUFFIX ... that does not exist."""
    stem, suffix = path.stem, path.suffix
    names = (f"{stem}.{number}{suffix}" for number in itertools.count(2))
    while path.exists():
        path = path.with_name(next(names))
    return path


def _constants(fmt: PoseFormat) -> dict[str, Any]:
    hop = {} if fmt.hop is None else {"hop": fmt.hop}
    return hop | {
        "betas": np.zeros(_BETAS, np.float32),
        "model": "smplx2020",
        "gender": "neutral",
        "mocap_frame_rate": fmt.clock.frame_rate,
        "sample_rate": fmt.clock.sample_rate,
        "hand_reference": str(fmt.hand_reference),
        "face_basis": fmt.face.name,
        "face_names": np.array(fmt.face.coefficients),
        "joint_names": np.array(fmt.skeleton.joint_names),
        "parents": np.array(fmt.skeleton.parents, np.int64),
        # Doubles, so that the skeleton read back equals the one written.
        "rest_offsets": np.array(fmt.skeleton.rest_offsets, np.float64),
    }
