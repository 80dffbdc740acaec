"""pocketsphinx is optional: an error names the extra to install."""

import sys

import pytest

from engine.errors import ConfigError
from training.speech.pocketsphinx_decoder import load_decoder


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ConfigError, match="pip install"):
        load_decoder()


@pytest.mark.recogniser
def test_a_decoder_knows_words() -> None:
    decoder = load_decoder(lm=None)
    assert decoder.lookup_word("hello").split()[0] == "HH"
    assert decoder.lookup_word("qwertyuiopas") is None
