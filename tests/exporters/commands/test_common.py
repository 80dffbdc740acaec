"""What the command lines share."""

from dataclasses import replace

import pytest

from engine.errors import ConfigError
from exporters.commands.common import guarded, speaker_of, told_events
from tests.models import tiny_bundle


def test_an_error_is_one_line_and_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ConfigError("expected this, got that")

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "error: expected this, got that\n"


def test_what_is_not_ours_is_not_swallowed() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(fail)


@pytest.mark.parametrize(("text", "speaker"), [("0", 0), ("calm", "calm"), ("2", "2")])
def test_speakers_by_name_or_number(text: str, speaker: int | str) -> None:
    bundle = tiny_bundle()
    several = replace(bundle.config.gesture, speakers=3)
    config = replace(bundle.config, gesture=several, speakers=("calm", "1", "2"))
    assert speaker_of(text, replace(bundle, config=config)) == speaker


def test_a_note_is_a_line_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    events = told_events()
    events.note("channel 2 of 2 is silent")
    events.note("channel 2 of 2 is silent")
    assert capsys.readouterr().out == "note: channel 2 of 2 is silent\n"
