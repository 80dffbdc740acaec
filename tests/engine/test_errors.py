"""Every failure becomes one line of the same tree."""

import pytest

from engine.errors import AudioError, SessionError, as_gesture_error


def test_an_error_of_ours_stays_what_it_is() -> None:
    error = AudioError("the cable was pulled")
    assert as_gesture_error(error, "the source") is error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\nlines"), "the source failed unexpectedly (ValueError: two lines); "),
        (MemoryError(), "the source failed unexpectedly (MemoryError); "),
        (KeyboardInterrupt(), "the source failed unexpectedly (KeyboardInterrupt); "),
    ],
)
def test_anything_else_is_named_with_its_part(error: BaseException, text: str) -> None:
    found = as_gesture_error(error, "the source")
    assert isinstance(found, SessionError)
    assert str(found).startswith(text)
    assert "start again" in str(found)
    assert "\n" not in str(found)
    assert found.__cause__ is error
