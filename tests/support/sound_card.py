"""Fixture of a virtual sound card, used by this process and its children."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.perf.sound_card import VirtualSoundCard


@pytest.fixture
def sound_card() -> Iterator[VirtualSoundCard]:
    """A running virtual sound card; for tests marked `audio_device`."""
    from engine.audio.device import rescan

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        card = VirtualSoundCard(Path(folder))
        for name, value in card.environment.items():
            patch.setenv(name, value)
        try:
            card.start()
            rescan()
            yield card
        finally:
            card.stop()
