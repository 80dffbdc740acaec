"""Cached files are intact or count as missing; an unwritable cache is reported once."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.system import cache

DATA = b"reproducible data"


def test_written_data_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert cache.read(path) is None
    assert cache.write(path, DATA, print)
    assert cache.read(path) == DATA
    assert cache.write(path, memoryview(DATA * 2), print)
    assert cache.read(path) == DATA * 2
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:10],
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: b"W" + whole[1:],
        lambda whole: DATA,  # as written by another version
    ],
)
def test_a_damaged_file_counts_as_missing(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "file"
    cache.write(path, DATA, print)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert cache.read(path) is None


def test_rewriting_a_file_does_not_change_data_already_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    cache.write(path, DATA * 10_000, print)
    data = cache.read(path)
    cache.write(path, b"short", print)
    assert data == DATA * 10_000
    assert cache.read(path) == b"short"


def test_an_unwritable_folder_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    messages = list[str]()
    for name in ("a", "b"):
        assert not cache.write(tmp_path / "file" / name, DATA, messages.append)
        assert cache.read(tmp_path / "file" / name) is None
    assert messages == [
        f"note: nothing can be kept in {tmp_path / 'file'} (File exists); it is made again at the "
        "next start"
    ]
    assert not cache.write(None, DATA, messages.append)
    assert cache.read(None) is None


def test_a_full_disk_keeps_the_old_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, messages = tmp_path / "file", list[str]()
    cache.write(path, DATA, messages.append)

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    assert not cache.write(path, b"more", messages.append)
    assert cache.read(path) == DATA
    assert list(tmp_path.iterdir()) == [path]
    assert "No space left on device" in messages[0]


def test_files_are_listed_by_prefix(tmp_path: Path) -> None:
    for name in ("b_2", "b_1", "a"):
        (tmp_path / name).touch()
    assert [path.name for path in cache.listed(tmp_path, "b_")] == ["b_1", "b_2"]
    assert cache.listed(tmp_path / "none", "b_") == []


def test_files_and_folders_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    assert cache.delete(tmp_path / "folder")
    assert cache.delete(tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_the_scratch_folder_is_deleted_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cache.scratch(tmp_path) as folder:
        (folder / "x").touch()
        assert folder.parent != tmp_path
    assert not folder.exists()
    monkeypatch.setattr("tempfile._get_default_tempdir", _no_temporary_folder)
    monkeypatch.setattr("tempfile.tempdir", None)
    with cache.scratch(tmp_path / "deep") as folder:
        (folder / "x").touch()
        assert folder.parent == tmp_path / "deep"
    assert not folder.exists()
    with pytest.raises(OSError, match="none"), cache.scratch(None):
        pass


def _no_temporary_folder() -> str:
    raise FileNotFoundError("none")


_PRINT = "from engine.system.cache import cache_folder; print(cache_folder())"


@pytest.mark.linux
@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"XDG_CACHE_HOME": "/some/where", "HOME": "/home/a"}, "/some/where/emage-live"),
        ({"HOME": "/home/a"}, "/home/a/.cache/emage-live"),
    ],
)
def test_the_cache_folder_follows_the_platform(
    variables: dict[str, str], folder: str, root: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _PRINT],
        env=variables,
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == folder, found.stderr


@pytest.mark.linux
@pytest.mark.root
def test_without_home_and_user_name_there_is_no_cache_folder(root: Path) -> None:
    code = f"import os; import platformdirs; import engine.system.cache; os.setuid(54321)\n{_PRINT}"
    found = subprocess.run(
        [sys.executable, "-c", code], env={}, cwd=root, capture_output=True, text=True
    )
    assert found.stdout.strip() == "None", found.stderr
