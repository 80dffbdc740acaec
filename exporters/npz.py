"""Motion clips as .npz files with the keys of BEAT2, written as they come and read back.

BEAT2's keys are poses (axis-angle), trans, expressions, betas, model, gender, mocap_frame_rate;
ours add face_basis, face_names, contacts, flags, first_sample, first_frame, sample_rate,
hand_reference, hop and the skeleton's names, parents and rest offsets. What they mean when read is the
business of `engine.clip`.

While frames come they go into a spool file beside the target, so memory stays bounded; `close`
turns the spool into the target, which appears whole or not at all. A process that is killed leaves
an earlier target as it was, and the spool, which the next recording to that target replaces.
"""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clip import motion_of, read_arrays
from engine.errors import ClipError, ExportError
from engine.events import LOST_DEVICE, EventCounter
from engine.pose import Motion, PoseFormat, PoseFrame
from engine.rotation import log
from engine.skeleton import SMPLX_55

_CONTACTS: Final = 4
_BETAS: Final = 300
_BLOCK: Final = 64  # frames converted together on their way into the spool
_PASS: Final = 4096  # frames copied at a time from the spool into the target
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the oldest date of a zip: equal motions, equal files


class NpzSink:
    """A PoseSink that writes one clip to `path`.

    `note` is None, or says after `close` (or a fault of the disk, counted as LOST_DEVICE) why the
    target is missing or short; what had been received stays in the spool file.
    """

    def __init__(self, path: Path, *, events: EventCounter) -> None:
        self.path = path
        self.note: str | None = None
        self._events = events
        self._spool_path = path.with_name(f".{path.name}.spool")
        self._format = PoseFormat()
        self._spool: IO[bytes] | None = None
        self._block = _Block(0)

    def open(self, fmt: PoseFormat) -> None:
        """Create the spool; ExportError for a place that cannot be written or another skeleton."""
        if fmt.skeleton.joint_names != SMPLX_55.joint_names:
            raise ExportError(
                f"an npz clip holds the {len(SMPLX_55.joint_names)} joints of SMPL-X, this model "
                f"has {len(fmt.skeleton.joint_names)} joints with other names or in another order"
            )
        if self.path.suffix != ".npz" or self.path.is_dir():
            raise ExportError(f"expected a file name ending in .npz, got {self.path}")
        try:
            self._spool = self._spool_path.open("w+b")
        except OSError as error:
            raise ExportError(
                f"cannot write {self.path} ({error.strerror}); choose a directory that exists and "
                f"is yours"
            ) from error
        self._format = fmt
        self._block = _Block(fmt.face.width)

    def send(self, frame: PoseFrame) -> None:
        """Add one frame; never raises for a fault of the disk."""
        if self._spool is None or self.note is not None:
            return
        self._block.add(frame)
        if len(self._block) == _BLOCK:
            self._flush()

    def close(self) -> None:
        """Write the target and remove the spool."""
        if self._spool is None:
            return
        self._flush()
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            self._spool.close()
            _write(partial, self._format, self._spool_path)
            os.replace(partial, self.path)
            self._spool_path.unlink()
            if self.note is not None:
                self.note = f"{self.path} ends early: the disk failed while recording"
        except OSError as error:
            self._failed(error)
        # Last, so that a close that was interrupted can be repeated.
        self._spool = None

    def _flush(self) -> None:
        if self._spool is None or self.note is not None or not len(self._block):
            return
        try:
            self._spool.write(self._block.take())
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if self.note is None:
            self._events.count(LOST_DEVICE)
        self.note = f"{self.path} was not written ({error}); frames are kept in {self._spool_path}"


def read_npz(path: Path) -> Motion:
    """The clip in `path`, of ours or of BEAT2; ExportError says what is wrong with the file."""
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
    """Up to `_BLOCK` frames, copied on arrival and converted to records together."""

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
        """The records of all frames held, which are forgotten."""
        count, self._count = self._count, 0
        records = self._records[:count]
        records["poses"] = log(self._rotations[:count]).reshape(count, -1)
        return records.tobytes()


@dataclass(frozen=True)
class _Spool:
    path: Path
    record: np.dtype[Any]

    def __len__(self) -> int:
        return self.path.stat().st_size // self.record.itemsize

    def passes(self) -> Iterator[NDArray[Any]]:
        """All records, some thousands at a time."""
        with self.path.open("rb") as file:
            while len(data := file.read(_PASS * self.record.itemsize)) >= self.record.itemsize:
                yield np.frombuffer(data, self.record, len(data) // self.record.itemsize)


def _write(target: Path, fmt: PoseFormat, spool_path: Path) -> None:
    spool = _Spool(spool_path, _record_type(fmt.face.width))
    first = next((int(records["index"][0]) for records in spool.passes()), 0)
    with zipfile.ZipFile(target, "w") as archive:
        for name in _TRACKS:
            _write_track(archive, name, spool)
        for name, value in _constants(fmt, first).items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)


def _write_track(archive: zipfile.ZipFile, name: str, spool: _Spool) -> None:
    """One array `[T, ...]`, copied from the spool column by column without holding it all."""
    column = spool.record[name]
    header = {
        "descr": column.base.str,
        "fortran_order": False,
        "shape": (len(spool), *column.shape),
    }
    with _member(archive, name) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for records in spool.passes():
            file.write(np.ascontiguousarray(records[name]).tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w", force_zip64=True)


def _constants(fmt: PoseFormat, first_frame: int) -> dict[str, Any]:
    hop = {} if fmt.hop is None else {"hop": fmt.hop}
    return hop | {
        "betas": np.zeros(_BETAS, np.float32),
        "model": "smplx2020",
        "gender": "neutral",
        "mocap_frame_rate": fmt.clock.frame_rate,
        "sample_rate": fmt.clock.sample_rate,
        "first_frame": first_frame,
        "hand_reference": str(fmt.hand_reference),
        "face_basis": fmt.face.name,
        "face_names": np.array(fmt.face.coefficients),
        "joint_names": np.array(fmt.skeleton.joint_names),
        "parents": np.array(fmt.skeleton.parents, np.int64),
        # Doubles, so that the skeleton read back equals the one written.
        "rest_offsets": np.array(fmt.skeleton.rest_offsets, np.float64),
    }
