"""espeak-ng worker: replies become speech; failures and timeouts are errors."""

import sys

import numpy as np
import pytest

from engine.errors import ConfigError
from training.speech.espeak import EspeakProcess, _assemble, stressed_vowel

ANSWER = {
    "rate": 1000,
    "events": [
        (1, 1, 100, ""), (7, 1, 100, "h"), (7, 1, 200, "@"), (7, 1, 300, "l"), (7, 1, 400, "oU"),
        (7, 1, 500, "_:"), (1, 7, 600, ""), (7, 7, 600, "w"), (7, 7, 700, "3:"),
    ],
    "spelled": {"hello": "h_@_l_'oU", "word": "w_'3:"},
}  # fmt: skip


def child(code: str, timeout_s: float = 10.0) -> EspeakProcess:
    return EspeakProcess([sys.executable, "-I", "-S", "-c", code], timeout_s)


def test_an_answer_becomes_phones_and_words() -> None:
    made = _assemble(np.zeros(16000, np.float32), "Hello word", ANSWER)
    assert [p.name for p in made.phones] == ["pau", "hh", "ax", "l", "ow", "pau", "w", "er"]
    assert made.phones[0].start == 0.0
    assert made.phones[-1].end == 1.0
    assert [w.text for w in made.words] == ["hello", "word"]
    assert made.words[0].vowel_start == pytest.approx(0.375)  # the second vowel is stressed
    assert made.words[1].vowel_end == 1.0


def test_which_vowel_is_stressed() -> None:
    assert stressed_vowel("h_@_l_'oU") == 1
    assert stressed_vowel("I2_m_p_'o@_t_@_n_t") == 1
    assert stressed_vowel("") == 0


def test_samples_and_answer_come_back() -> None:
    speaker = child(
        "import sys\n"
        "for line in sys.stdin.buffer:\n"
        '    sys.stdout.buffer.write(b\'{"samples": 2, "rate": 8000}\\n\\x00\\x40\\x00\\xc0\')\n'
        "    sys.stdout.flush()"
    )
    try:
        for _ in range(2):
            answer, samples = speaker.request({"text": "x"})
            assert answer["rate"] == 8000
            assert samples.tolist() == [0.5, -0.5]
    finally:
        speaker.close()


def test_an_error_is_passed_on_and_an_end_is_one() -> None:
    speaker = child('print(\'{"error": "no such voice"}\', flush=True)')
    with pytest.raises(ConfigError, match="no such voice"):
        speaker.request({})
    speaker.close()
    with pytest.raises(ConfigError, match="espeak-ng"):
        child("pass").request({})


def test_one_that_hangs_is_ended() -> None:
    speaker = child("import sys; sys.stdin.read()", timeout_s=0.2)
    with pytest.raises(ConfigError, match="within"):
        speaker.request({})
    with pytest.raises(ConfigError):
        speaker.request({})
