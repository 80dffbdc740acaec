"""WordSource: whole files at once, JSON lines from a file or named pipe as they are written."""

import json
import os
import threading
from pathlib import Path

import pytest

from engine.errors import TranscriptError
from engine.events import EventCounter
from engine.text.words import TimedWord
from exporters.commands.word_source import WordSource


class Taken:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.came = threading.Event()

    def __call__(self, words: list[TimedWord]) -> None:
        self.words += [word.text for word in words]
        self.came.set()


def line(text: str) -> bytes:
    return json.dumps({"words": [{"word": text, "start": 0.1, "end": 0.2}]}).encode() + b"\n"


def test_a_table_is_read_at_once(tmp_path: Path) -> None:
    path, taken = tmp_path / "w.tsv", Taken()
    path.write_text("0.1 0.2 one\n0.3 0.4 two\n")
    source = WordSource(path, taken, EventCounter())
    source.start()
    source.close()
    assert taken.words == ["one", "two"]


def test_a_growing_file_is_followed(tmp_path: Path) -> None:
    path, taken, events = tmp_path / "w.jsonl", Taken(), EventCounter()
    path.write_bytes(line("one"))
    source = WordSource(path, taken, events)
    source.start()
    assert taken.words == ["one"]
    taken.came.clear()
    with path.open("ab") as file:
        file.write(b"rubbish\n" + line("two"))
    assert taken.came.wait(10)
    source.close()
    assert taken.words == ["one", "two"]
    assert events.snapshot()["rejected_message"] == 1


@pytest.mark.posix
def test_a_named_pipe_may_have_no_writer_yet(tmp_path: Path) -> None:
    path, taken = tmp_path / "pipe", Taken()
    os.mkfifo(path)
    source = WordSource(path, taken, EventCounter())
    source.start()
    with path.open("wb") as writer:
        writer.write(line("late"))
    assert taken.came.wait(10)
    source.close()
    assert taken.words == ["late"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"nowhere\.tsv"):
        WordSource(tmp_path / "nowhere.tsv", Taken(), EventCounter()).start()


@pytest.mark.posix
@pytest.mark.parametrize("name", ["words.jsonl", "/dev/zero", "/dev/null"])
def test_folders_and_devices_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "words.jsonl").mkdir()
    with pytest.raises(TranscriptError, match="a folder or a device"):
        WordSource(tmp_path / name, Taken(), EventCounter()).start()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="cannot read words from"):
        WordSource(tmp_path / ("a" * 300), Taken(), EventCounter()).start()
