"""Speech synthesis by voice name, with tempo and pitch.

flite has recorded voices, espeak-ng formant voices in many variants; both give `Speech`.
"""

from dataclasses import dataclass

from engine.errors import ConfigError
from training.speech import espeak, flite
from training.speech.speech import Speech

_ENGINES = {"flite": flite.speak, "espeak": espeak.speak}


@dataclass(frozen=True)
class Voice:
    """A voice such as flite:slt or espeak:en-us+f3, with factors of tempo and pitch."""

    name: str
    tempo: float = 1.0
    pitch: float = 1.0


def synthesize(text: str, voice: Voice) -> Speech:
    """Synthesise `text`; raises ConfigError for an unknown voice or a missing library."""
    engine, _, name = voice.name.partition(":")
    if engine not in _ENGINES:
        raise ConfigError(f"expected a voice like flite:slt or espeak:en-us+f3, got {voice.name!r}")
    # The pitch shift resamples, which changes the tempo too: compensate in the synthesiser.
    return _ENGINES[engine](text, name, voice.tempo / voice.pitch).pitched(voice.pitch)
