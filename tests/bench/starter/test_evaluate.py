"""Columns of the evaluation, and metrics that are skipped without sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.starter import evaluate as measuring
from bench.starter.evaluate import (
    COMPOSER,
    NETWORK,
    TAKE,
    EvaluationLimits,
    Findings,
    Sources,
    measure,
    real_clips,
)
from bench.starter.renderings import Scene
from bench.starter.speech_set import Part
from tests.support.speech import save_clips, voices
from tests.support.training_fixtures import waving
from training.data.clips import save_clip


def measured(*arguments: Any) -> Findings:
    found = Findings()
    measure(found, *arguments)
    return found


FEW = EvaluationLimits(6.0, 2.0, 2.0, one_voice_s=0.0, rounds=3)


class Waver:
    """Renderer that waves, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool, bool]] = []

    def __call__(
        self, parts: list[Part], *, with_words: bool = True, offline: bool = False
    ) -> list[Scene]:
        self.calls.append((len(parts), with_words, offline))
        return [Scene(part, waving(7, round(part.speech.duration * 30))) for part in parts]


def test_the_recorded_take_has_a_column(tmp_path: Path) -> None:
    save_clip(tmp_path / "voice 1.npz", waving(1, 90), {})
    np.save(tmp_path / "mean_vel_smplxflame_30.npy", np.ones(55))
    waver = Waver()
    found = measured(waver, voices(), FEW, Sources(beat2=tmp_path), lambda text: None)
    assert [*found.columns] == [NETWORK, TAKE]
    assert np.isfinite(found.columns[TAKE]["jaw, r with the phones"])
    assert found.columns[NETWORK]["core seconds a second"] >= 0
    assert waver.calls == [(2, True, False)], "without clips no other speech is rendered"
    assert found.classes == []


def test_with_clips_all_metrics_are_present(tmp_path: Path) -> None:
    save_clips(tmp_path)
    waver, lines = Waver(), []
    found = measured(waver, voices(), FEW, Sources(clips=tmp_path), lines.append)
    assert waver.calls == [(2, True, False), (2, True, True), (2, False, False)]
    own, real = found.columns[NETWORK], found.columns["real clips"]
    assert own["jerk over real clips"] == own["jerk m/s3"] / real["jerk m/s3"]
    assert {"FGD over that between halves", "nearest training clip, median m"} <= set(own)
    assert own["words that ask, without words"] >= 0
    assert COMPOSER in found.columns
    assert any("rendered 6 s" in line for line in lines)


def test_one_voice_is_repeated() -> None:
    waver = Waver()
    own = [*voices(), replace(voices()[0], name="unknown", has_transcript=False)]
    extent = replace(FEW, one_voice_s=100.0)
    found = measured(waver, own, extent, Sources(), lambda text: None)
    longest = max(part.speech.duration for part in voices())
    (repeats, _, _) = waver.calls[1]
    assert repeats == np.ceil(100.0 / longest)
    numbers = found.columns[NETWORK]
    assert numbers["one voice: minutes"] == pytest.approx(repeats * longest / 60, rel=0.02)
    assert "one voice: wrist variance of a minute, farthest from the mean" in numbers


def test_fidgets_are_dropped_and_splits_kept_apart(tmp_path: Path) -> None:
    save_clips(tmp_path)
    clips = real_clips(tmp_path)
    assert (len(clips.training), len(clips.held_out)) == (3, 1)


def test_synthetic_voices_have_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "synthetic_parts", voices)
    waver = Waver()
    found = measured(waver, voices(), replace(FEW, synthetic_s=3.0), Sources(), lambda text: None)
    assert waver.calls == [(2, True, False)] * 2
    assert "jaw, r with the phones" in found.columns["synthetic"]
    assert "skate ratio" not in found.columns["synthetic"]
