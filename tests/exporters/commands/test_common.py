"""What the command lines share."""

from dataclasses import replace

import pytest

from exporters.commands.common import speaker_of
from tests.models import tiny_bundle


@pytest.mark.parametrize(
    ("text", "speaker"),
    [("0", 0), ("calm", "calm"), ("2", "2"), ("²", "²"), ("9" * 5000, "9" * 5000)],
)
def test_speakers_by_name_or_number(text: str, speaker: int | str) -> None:
    bundle = tiny_bundle()
    several = replace(bundle.config.gesture, speakers=3)
    config = replace(bundle.config, gesture=several, speakers=("calm", "1", "2"))
    assert speaker_of(text, replace(bundle, config=config)) == speaker
