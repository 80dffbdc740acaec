import pytest

from engine.face import ARKIT_51
from training.phones import CLOSED, ESPEAK_PHONES, FUNCTION_WORDS, SHAPES, VOWELS

DIPHTHONGS = {"aw", "ay", "ey", "ow", "oy"}


@pytest.mark.parametrize("phone", sorted(SHAPES))
def test_shapes_are_weights_of_coefficients(phone):
    for shape in SHAPES[phone]:
        assert set(shape) <= set(ARKIT_51.coefficients)
        assert all(0.0 <= weight <= 1.0 for weight in shape.values())


def test_every_phone_of_a_synthesiser_has_a_shape():
    assert set(ESPEAK_PHONES.values()) <= set(SHAPES)
    assert set(SHAPES) >= VOWELS | CLOSED


def test_only_diphthongs_move():
    assert {p for p, (start, end) in SHAPES.items() if start != end} == DIPHTHONGS
    assert DIPHTHONGS < VOWELS


def test_lips_meet_in_closed_phones_and_nothing_moves_in_silence():
    for phone in CLOSED:
        assert SHAPES[phone][0]["jawOpen"] == 0.0
        assert SHAPES[phone][0]["mouthPressLeft"] > 0.3
    assert SHAPES["pau"] == ({}, {})


def test_the_mouth_is_symmetric():
    for pair in SHAPES.values():
        for shape in pair:
            for name, weight in shape.items():
                other = name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")
                assert shape[other] == weight


def test_open_vowels_open_the_jaw_more_than_consonants():
    def jaw(phone):
        return SHAPES[phone][0]["jawOpen"]

    consonants = set(SHAPES) - VOWELS - {"pau"}
    assert min(jaw("aa"), jaw("ae"), jaw("aw"), jaw("ay")) > 1.5 * max(map(jaw, consonants))
    assert jaw("aa") > jaw("eh") > jaw("iy")


def test_negations_are_no_function_words():
    assert not FUNCTION_WORDS & {"never", "don't", "no", "nothing"}
    assert {"the", "of", "we're"} <= FUNCTION_WORDS
