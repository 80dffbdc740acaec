"""Who speaks a text: a voice by its name, with its own tempo and pitch.

flite has recorded voices, espeak-ng formant voices in many variants; both give the same `Speech`.
"""

from dataclasses import dataclass

from engine.errors import ConfigError
from training.speech import espeak, flite
from training.speech.speech import Speech

_ENGINES = {"flite": flite.speak, "espeak": espeak.speak}


@dataclass(frozen=True)
class Voice:
    """Who speaks, as flite:slt or espeak:en-us+f3, and factors of its own tempo and pitch."""

    name: str
    tempo: float = 1.0
    pitch: float = 1.0


def synthesize(text: str, voice: Voice) -> Speech:
    """Speak `text`; raises ConfigError for an unknown voice or a missing library."""
    engine, _, name = voice.name.partition(":")
    if engine not in _ENGINES:
        raise ConfigError(f"expected a voice like flite:slt or espeak:en-us+f3, got {voice.name!r}")
    # Resampling changes the tempo too: ask the synthesiser for so much less.
    return _ENGINES[engine](text, name, voice.tempo / voice.pitch).pitched(voice.pitch)
