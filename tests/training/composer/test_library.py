"""Clip library: selection by kind and hands, and phases of clips."""

import numpy as np
import pytest

from engine.errors import ConfigError
from tests.support.figures import clip, hanging, rising, small_library
from training.composer.library import FAMILIES, ClipLibrary, describe


def test_a_library_without_gestures_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="clips stage"):
        ClipLibrary([clip(hanging(10), "idle")], "train")


def test_clips_of_the_other_split_are_never_used() -> None:
    held_out = clip(rising(), "gesture", "Negative", split="test")
    made = ClipLibrary([clip(hanging(9), "idle"), clip(rising(), "gesture", "BeatMid"), held_out],
                       "train")  # fmt: skip
    assert {g.clip.split for g in made.gestures} == {"train"}
    rng = np.random.default_rng(0)
    assert made.choose("negative", (), None, rng).clip.family == "BeatMid"


def test_the_phases_of_a_rise() -> None:
    found = describe(clip(rising(), "gesture", "Negative"))
    assert found.sides == ("left", "right")
    assert 0.1 < found.leave < found.near < found.far < 1.05
    assert not found.beats
    assert found.when(0.5) == pytest.approx(0.5, abs=0.15)
    assert found.pose(found.far).shape == (55, 4)


def test_kind_and_hands_decide_the_choice() -> None:
    made, rng = small_library(), np.random.default_rng(0)
    assert made.choose("negative", (), None, rng).clip.family == "Negative"
    one_handed = made.choose("point", ("right",), None, rng)
    assert one_handed.sides == ("right",)  # the mirror image of a left-handed clip
    first = made.choose("beat_mid", (), None, rng)
    assert made.choose("doubt", (), None, rng).clip.family == first.clip.family


def test_akimbo_idles_are_no_rest() -> None:
    akimbo = hanging(30)
    akimbo[:, 16:18] = np.array([1, 0, 0, 0], np.float32)
    clips = [clip(hanging(30), "idle", name="a"), clip(akimbo, "idle", name="b")]
    made = ClipLibrary([*clips, clip(rising(), "gesture", "BeatMid")], "train")
    assert {c.name for c in made.idles} == {"a"}
    assert made.rest(np.random.default_rng(0)).shape == (55, 4)


def test_every_kind_has_families() -> None:
    assert all(families for families in FAMILIES.values())
    assert all(name == name.lower() for names in FAMILIES.values() for name in names)
