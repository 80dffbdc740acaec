import pytest

from engine.errors import ConfigError
from engine.motion.face_basis import ARKIT_51, ARKIT_52, FLAME_100, face_basis


def test_arkit52_is_the_live_link_order() -> None:
    names = ARKIT_52.coefficients
    assert len(set(names)) == ARKIT_52.width == 52
    assert (names[0], names[7], names[17], names[51]) == (
        *("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "tongueOut"),
    )


def test_arkit51_is_alphabetical_without_the_tongue() -> None:
    assert ARKIT_51.width == 51
    assert ARKIT_51.coefficients[0] == "browDownLeft"
    assert list(ARKIT_51.coefficients) == sorted(ARKIT_51.coefficients)
    assert set(ARKIT_52.coefficients) - set(ARKIT_51.coefficients) == {"tongueOut"}


def test_bases_are_found_by_name() -> None:
    assert [face_basis(b.name) for b in (ARKIT_51, ARKIT_52, FLAME_100)] == [
        *(ARKIT_51, ARKIT_52, FLAME_100)
    ]
    with pytest.raises(ConfigError, match="unknown face basis 'arkit'; expected one of arkit51"):
        face_basis("arkit")
