"""Every failure becomes a `GestureError` with a one-line message."""

import pytest

from engine.errors import AudioError, SessionError, as_gesture_error


def test_project_errors_pass_unchanged() -> None:
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
def test_other_errors_are_wrapped_with_their_source(error: BaseException, text: str) -> None:
    found = as_gesture_error(error, "the source")
    assert isinstance(found, SessionError)
    assert str(found).startswith(text)
    assert "start again" in str(found)
    assert "\n" not in str(found)
    assert found.__cause__ is error
