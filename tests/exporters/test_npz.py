import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ExportError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference, PoseFormat
from engine.motion.rotation import angle
from engine.motion.skeleton import SMPLX_55, Skeleton
from exporters import spool
from exporters.npz import NpzSink, read_npz


def record(path, frames, events, fmt=PoseFormat()):  # noqa: B008 a frozen value
    sink = NpzSink(path, events=events)
    sink.open(fmt)
    for frame in frames:
        sink.send(frame)
    sink.close()
    return sink


@pytest.mark.parametrize("count", [1, 15, 63, 64, 65, 300])
def test_reading_back_gives_the_motion(count, make_frame, fmt, events, tmp_path):
    frames = [make_frame(5 + k) for k in range(count)]
    sink = record(tmp_path / "clip.npz", frames, events)
    motion = read_npz(tmp_path / "clip.npz")
    assert sink.note is None
    assert motion.format == fmt
    assert len(motion) == count
    back = list(motion.poses.frames(fmt.clock))
    assert [(f.index, f.sample, f.flags) for f in back] == [
        (f.index, f.sample, f.flags) for f in frames
    ]
    for ours, theirs in zip(frames, back, strict=True):
        assert angle(ours.rotations, theirs.rotations).max() < 2e-3
        for name in ("translation", "contacts", "face"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"]


def test_keys_are_those_of_beat2(make_frame, events, tmp_path):
    record(tmp_path / "clip.npz", [make_frame(k) for k in range(7)], events)
    with np.load(tmp_path / "clip.npz") as clip:
        shapes = {name: clip[name].shape for name in clip.files}
        assert clip["model"] == "smplx2020"
        assert clip["gender"] == "neutral"
        assert clip["mocap_frame_rate"] == 30
        assert clip["face_basis"] == "arkit51"
        assert clip["hand_reference"] == "flat"
        assert clip["face_names"][0] == "browDownLeft"
        assert not clip["betas"].any()
        assert clip["first_sample"].tolist() == [k * 16000 // 30 for k in range(7)]
        assert clip["flags"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    expected = {"poses": (7, 165), "trans": (7, 3), "expressions": (7, 51), "contacts": (7, 4)}
    assert expected.items() <= shapes.items()
    assert shapes["betas"] == (300,)


def test_equal_motions_make_equal_files(make_frame, events, tmp_path):
    for name in ("a.npz", "b.npz"):
        record(tmp_path / name, [make_frame(k) for k in range(70)], events)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_frames_are_copied_on_arrival(make_frame, fmt, events, tmp_path):
    frame = make_frame(0)
    sink = NpzSink(tmp_path / "clip.npz", events=events)
    sink.open(fmt)
    sink.send(frame)
    for array in (frame.rotations, frame.translation, frame.contacts, frame.face):
        array[...] = 9
    sink.close()
    poses = read_npz(tmp_path / "clip.npz").poses
    np.testing.assert_array_equal(poses.face[0], make_frame(0).face)
    assert angle(poses.rotations[0], make_frame(0).rotations).max() < 2e-3


def test_other_formats_survive(make_frame, events, tmp_path):
    fmt = PoseFormat(
        skeleton=replace(SMPLX_55, rest_offsets=((0.125, 0.1, 0.0),) * 55),
        clock=FrameClock(24000, 60),
        face=FLAME_100,
        hand_reference=HandReference.SMPLX_MEAN,
        hop=2,
    )
    record(tmp_path / "clip.npz", [make_frame(0, 100)], events, fmt)
    assert read_npz(tmp_path / "clip.npz").format == fmt


def test_a_file_of_beat2_is_read_by_its_conventions(tmp_path):
    poses = np.zeros((4, 165))
    poses[:, 3 * 16] = 0.5
    keys = {"trans": np.ones((4, 3)), "expressions": np.zeros((4, 100)), "mocap_frame_rate": 30}
    np.savez(tmp_path / "beat.npz", poses=poses, betas=np.zeros(300), gender="neutral", **keys)
    motion = read_npz(tmp_path / "beat.npz")
    assert motion.format.face is FLAME_100
    assert motion.format.hand_reference is HandReference.SMPLX_MEAN
    assert motion.poses.rotations[2, 16] == pytest.approx([np.cos(0.25), np.sin(0.25), 0, 0])


def test_bad_places_are_errors_of_open(fmt, events, tmp_path):
    for path in (tmp_path / "missing" / "a.npz", tmp_path / "a.txt", tmp_path):
        with pytest.raises(ExportError):
            NpzSink(path, events=events).open(fmt)
    other = replace(fmt, skeleton=Skeleton(("hips",), (-1,), ((0.0, 1.0, 0.0),)))
    with pytest.raises(ExportError, match="SMPL-X"):
        NpzSink(tmp_path / "a.npz", events=events).open(other)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_a_file_that_is_no_clip_is_refused(content, tmp_path):
    (tmp_path / "clip.npz").write_bytes(content)
    with pytest.raises(ExportError):
        read_npz(tmp_path / "clip.npz")


def test_misshapen_clips_are_refused(make_frame, events, tmp_path):
    record(tmp_path / "clip.npz", [make_frame(k) for k in range(3)], events)
    with np.load(tmp_path / "clip.npz") as clip:
        good = {name: clip[name] for name in clip.files}
    changes = [
        {"poses": good["poses"][:, :-1]},
        {"trans": good["trans"][:2]},
        {"expressions": good["expressions"][:, :5]},
        {"face_basis": "other"},
        {"mocap_frame_rate": 0},
        {"flags": good["flags"][:1]},
    ]
    for change in changes:
        np.savez(tmp_path / "bad.npz", **(good | change))
        with pytest.raises(ExportError):
            read_npz(tmp_path / "bad.npz")
    del good["poses"]
    np.savez(tmp_path / "bad.npz", **good)
    with pytest.raises(ExportError, match="poses"):
        read_npz(tmp_path / "bad.npz")


def test_without_a_frame_an_earlier_clip_stays(make_frame, fmt, events, tmp_path):
    target = tmp_path / "clip.npz"
    for before in (0, 1):
        lines: list[str] = []
        events = EventCounter(lines.append)
        sink = NpzSink(target, events=events)
        sink.open(fmt)
        sink.close()
        assert lines == [f"no frame came: {target} was not written"]
        assert (sink.note, sink.lost) == (None, False)
        assert len(list(tmp_path.iterdir())) == before
        record(target, [make_frame(0)], events)
    assert len(read_npz(target)) == 1


@pytest.fixture
def limited():
    """Limits the size of a file; a write beyond it fails as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.posix
def test_a_full_disk_is_reported_at_once_and_nothing_is_lost(
    make_frame, fmt, events, tmp_path, limited
):
    lines: list[str] = []
    events = EventCounter(lines.append)
    sink = NpzSink(tmp_path / "clip.npz", events=events)
    sink.open(fmt)
    for k in range(100):
        sink.send(make_frame(k))
    assert lines == []
    limited(sink._spool.path.stat().st_size + 1000)
    for k in range(100, 200):
        sink.send(make_frame(k))
    assert len(lines) == 1
    assert "File too large" in lines[0]
    limited(100_000_000)
    for k in range(200, 300):
        sink.send(make_frame(k))
    assert len(lines) == 2
    assert "takes frames again" in lines[1]
    sink.close()
    assert events.snapshot()[LOST_DEVICE] == 1
    assert (sink.note, sink.lost) == (None, False)
    poses = read_npz(tmp_path / "clip.npz").poses
    assert [f.index for f in poses.frames(fmt.clock)] == list(range(300))


@pytest.mark.posix
def test_a_disk_that_stays_full_keeps_the_records_that_fit(
    make_frame, fmt, events, tmp_path, limited
):
    target = tmp_path / "clip.npz"
    record(target, [make_frame(7)], events)
    sink = NpzSink(target, events=events)
    sink.open(fmt)
    for k in range(100):
        sink.send(make_frame(k))
    limited(sink._spool.path.stat().st_size)
    sink.close()
    assert sink.lost
    assert "was not written (File too large)" in sink.note
    assert len(read_npz(target)) == 1
    limited(100_000_000)
    lines: list[str] = []
    events = EventCounter(lines.append)
    again = NpzSink(target, events=events)
    again.open(fmt)
    again.close()
    assert lines[0] == (
        f"recovered 96 frames of a recording that was cut off: {tmp_path}/clip.recovered.npz"
    )
    assert len(read_npz(tmp_path / "clip.recovered.npz")) == 96
    assert len(read_npz(target)) == 1


def test_frames_beyond_the_memory_limit_are_lost_and_reported(
    make_frame, fmt, events, tmp_path, monkeypatch
):
    monkeypatch.setattr(spool, "_MOST_WAITING", 0)
    lines: list[str] = []
    events = EventCounter(lines.append)
    sink = NpzSink(tmp_path / "clip.npz", events=events)
    sink.open(fmt)
    for k in range(40):
        sink.send(make_frame(k))
    sink.close()
    assert sink.lost
    assert len(lines) == 1
    assert "lacks frames" in lines[0]


def test_a_second_recording_to_one_file_is_refused(make_frame, fmt, events, tmp_path):
    target = tmp_path / "clip.npz"
    first, second = NpzSink(target, events=events), NpzSink(target, events=events)
    first.open(fmt)
    first.send(make_frame(0))
    with pytest.raises(ExportError, match="another recording is being written"):
        second.open(fmt)
    second.close()
    first.close()
    assert len(read_npz(target)) == 1
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_too_long_is_an_error_of_open(fmt, events, tmp_path):
    for length in (245, 300):
        with pytest.raises(ExportError, match="cannot write"):
            NpzSink(tmp_path / ("n" * length + ".npz"), events=events).open(fmt)
    assert list(tmp_path.iterdir()) == []


RECORDER = """
import sys
from pathlib import Path
import numpy as np
from engine.events import EventCounter
from engine.motion.pose import PoseFormat, PoseFrame
from engine.motion.rotation import identity
from exporters.npz import NpzSink
sink = NpzSink(Path(sys.argv[1]), events=EventCounter())
sink.open(PoseFormat())
zeros = np.zeros(60, np.float32)
try:
    for k in range(10**9):
        sink.send(PoseFrame(k, k * 16000 // 30, identity(55), zeros[:3], zeros[:4], zeros[:51]))
        if k == 500:
            print("ready", flush=True)
finally:
    sink.close()
"""


def stopped_by(number, target, root):
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.communicate(timeout=60)


def test_killed_half_way_leaves_the_earlier_clip(make_frame, events, tmp_path, root):
    target = tmp_path / "clip.npz"
    record(target, [make_frame(0)], events)
    before = target.read_bytes()
    stopped_by(signal.SIGKILL, target, root)
    assert target.read_bytes() == before
    lines: list[str] = []
    events = EventCounter(lines.append)
    sink = NpzSink(target, events=events)
    sink.open(PoseFormat())
    recovered = tmp_path / "clip.recovered.npz"
    assert len(lines) == 1
    assert str(recovered) in lines[0]
    frames = list(read_npz(recovered).poses.frames(PoseFormat().clock))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) > 480
    sink.send(make_frame(0))
    sink.close()
    stopped_by(signal.SIGKILL, target, root)
    record(target, [make_frame(k) for k in range(2)], events)
    assert len(read_npz(target)) == 2
    names = ["clip.npz", "clip.recovered.2.npz", "clip.recovered.npz"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_a_spool_that_cannot_be_read_is_kept(make_frame, events, tmp_path):
    (tmp_path / ".clip.npz.spool").write_bytes(b"of another program")
    record(tmp_path / "clip.npz", [make_frame(0)], events)
    assert (tmp_path / "clip.unreadable.spool").read_bytes() == b"of another program"
    assert len(read_npz(tmp_path / "clip.npz")) == 1


@pytest.mark.posix
def test_an_interrupt_leaves_a_complete_file(tmp_path, root):
    stopped_by(signal.SIGINT, tmp_path / "clip.npz", root)
    motion = read_npz(tmp_path / "clip.npz")
    assert len(motion) > 400
    assert zipfile.ZipFile(tmp_path / "clip.npz").testzip() is None
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"]


@pytest.mark.posix
@pytest.mark.parametrize("moved", [False, True])
def test_a_removed_folder_loses_no_frame(make_frame, fmt, events, tmp_path, moved):
    target = tmp_path / "takes" / "today" / "clip.npz"
    target.parent.mkdir(parents=True)
    sink = NpzSink(target, events=events)
    sink.open(fmt)
    for k in range(40):
        sink.send(make_frame(k))
    if moved:
        (tmp_path / "takes").rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(tmp_path / "takes")
    for k in range(40, 70):
        sink.send(make_frame(k))
    sink.close()
    assert (sink.note, sink.lost) == (None, False)
    assert len(read_npz(target)) == 70
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.posix
def test_a_folder_that_cannot_be_recreated_is_reported(make_frame, fmt, events, tmp_path):
    target = tmp_path / "takes" / "clip.npz"
    target.parent.mkdir()
    sink = NpzSink(target, events=events)
    sink.open(fmt)
    sink.send(make_frame(0))
    shutil.rmtree(target.parent)
    target.parent.write_text("a file in its place")
    sink.close()
    assert sink.lost
    assert sink.note.endswith("its frames are lost, since its folder was removed; record again")


@pytest.mark.posix
def test_a_disk_that_is_full_at_the_start_leaves_nothing(fmt, events, tmp_path, limited):
    limited(0)
    with pytest.raises(ExportError, match="cannot write"):
        NpzSink(tmp_path / "clip.npz", events=events).open(fmt)
    limited(100_000_000)  # pytest itself writes before the fixture ends
    assert list(tmp_path.iterdir()) == []


@pytest.mark.posix
def test_without_room_to_recover_the_earlier_frames_stay_as_they_are(
    make_frame, fmt, events, tmp_path, limited
):
    sink = NpzSink(tmp_path / "clip.npz", events=events)
    sink.open(fmt)
    for k in range(100):
        sink.send(make_frame(k))
    spooled = sink._spool.path.read_bytes()
    sink._spool.keep()
    limited(4096)
    with pytest.raises(ExportError, match="cannot write"):
        NpzSink(tmp_path / "clip.npz", events=events).open(fmt)
    limited(100_000_000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        ".clip.npz.spool": spooled
    }
