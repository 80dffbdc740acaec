"""What the command lines share."""

import pytest

from engine.errors import ConfigError
from exporters.commands.common import guarded, speaker_of


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


@pytest.mark.parametrize(("text", "speaker"), [("3", 3), ("calm", "calm")])
def test_speakers_by_number_or_name(text: str, speaker: int | str) -> None:
    assert speaker_of(text) == speaker
