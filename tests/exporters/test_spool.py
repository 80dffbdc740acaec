"""Spool: one owner, all or nothing, and records that survive their process."""

import pytest

from engine.errors import ExportError
from exporters.spool import Spool


def content(spool, size):
    return b"".join(spool.pieces(size, 2))


def test_records_are_read_in_pieces(tmp_path):
    spool = Spool(tmp_path / "a.npz")
    assert spool.header is None
    spool.begin(b"head")
    assert (spool.header, spool.count(3), content(spool, 3)) == (b"head", 0, b"")
    spool.append(b"abcdef")
    spool.append(b"ghijklmno")
    assert list(spool.pieces(3, 2)) == [b"abcdef", b"ghijkl", b"mno"]
    assert spool.count(3) == 5
    spool.release()
    assert list(tmp_path.iterdir()) == []


def test_kept_records_are_found_and_deleted_by_begin(tmp_path):
    first = Spool(tmp_path / "a.npz")
    first.begin(b"head")
    first.append(b"abcdefgh")  # the last record was cut
    first.keep()
    second = Spool(tmp_path / "a.npz")
    assert second.header == b"head"
    assert (second.count(3), content(second, 3)) == (2, b"abcdef")
    second.begin(b"other")
    second.append(b"123")
    assert content(second, 3) == b"123"
    second.release()


@pytest.mark.parametrize(
    ("written", "header"),
    [
        *((b"", None), (b"EMSPO", None), (b"of another program", b"")),
        (b"EMSPOOL1" + b"\x09" + b"\0" * 7 + b"cut", None),
    ],
)
def test_a_header_that_was_cut_or_is_of_another_program(tmp_path, written, header):
    (tmp_path / ".a.npz.spool").write_bytes(written)
    spool = Spool(tmp_path / "a.npz")
    assert spool.header == header
    assert content(spool, 3) == b""
    spool.release()


def test_one_owner_at_a_time(tmp_path):
    first = Spool(tmp_path / "a.npz")
    first.begin(b"head")
    with pytest.raises(ExportError, match="another recording"):
        Spool(tmp_path / "a.npz")
    other = Spool(tmp_path / "b.npz")
    other.release()
    first.release()
    Spool(tmp_path / "a.npz").release()


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Spool(tmp_path / "missing" / "a.npz")
