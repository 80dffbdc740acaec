"""The tables of phones are complete and sane."""

from engine.motion.face_basis import ARKIT_51
from training.speech.phones import CLOSED, ESPEAK_PHONES, FUNCTION_WORDS, SHAPES, VOWELS


def test_every_phone_has_a_shape_of_known_coefficients() -> None:
    assert set(ESPEAK_PHONES.values()) <= set(SHAPES)
    assert set(SHAPES) >= VOWELS
    for pair in SHAPES.values():
        for shape in pair:
            assert set(shape) <= set(ARKIT_51.coefficients)
            assert all(0.0 <= value <= 1.0 for value in shape.values())


def test_lips_are_shut_where_they_must_be_and_silence_is_nothing() -> None:
    for phone in CLOSED:
        assert SHAPES[phone][0]["jawOpen"] == 0.0
    assert SHAPES["pau"] == ({}, {})
    assert min(SHAPES[v][0]["jawOpen"] for v in VOWELS) > 0.1


def test_negations_are_not_function_words() -> None:
    assert not {"never", "don't", "no", "nothing"} & FUNCTION_WORDS
    assert all(word == word.lower() for word in FUNCTION_WORDS)
