"""pocketsphinx is optional: loaded where it is, asked for where it is not."""

import sys

import pytest

from engine.errors import ConfigError
from training.speech.pocketsphinx_decoder import load_decoder


def test_a_machine_without_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ConfigError, match="pip install"):
        load_decoder()


@pytest.mark.recogniser
def test_a_decoder_knows_words() -> None:
    decoder = load_decoder(lm=None)
    assert decoder.lookup_word("hello").split()[0] == "HH"
    assert decoder.lookup_word("qwertyuiopas") is None
