"""Syllables, jaw opening and reactions; with a virtual sound card also the whole path."""

from pathlib import Path

import numpy as np
import pytest

from bench.perf.virtual_mic import jaw, reaction_report, reactions, syllable, syllables
from engine.audio.voice_gate import VoiceGate
from engine.bundle.io import save_bundle
from engine.clock import FrameClock
from engine.motion.face_basis import ARKIT_51, FLAME_100
from engine.motion.pose import FrameFlag, PoseFrame
from engine.motion.skeleton import SMPLX_55
from tests.support.tiny_bundle import tiny_bundle


def frame(face: np.ndarray, rotations: np.ndarray | None = None) -> PoseFrame:
    still = np.tile(np.array([1, 0, 0, 0], np.float32), (55, 1))
    turned = still if rotations is None else rotations
    zeros = np.zeros(3, np.float32)
    return PoseFrame(0, 0, turned, zeros, np.zeros(4, np.float32), face, FrameFlag.NONE)


def test_syllables_begin_at_their_onsets() -> None:
    sound, onsets = syllables(8.0)
    assert len(sound) == 8 * 16000
    assert len(onsets) > 5
    for onset in onsets:
        assert not sound[onset - 3000 : onset].any()
        assert np.abs(sound[onset : onset + 160]).max() > 0.2
    # Onsets must have random phases relative to hops, or latency would be that of one phase.
    assert np.std([onset % 1067 for onset in onsets]) > 100
    assert len(np.unique([len(syllable(f)) for f in (110.0, 190.0)])) == 1


def test_a_syllable_opens_the_voice_gate() -> None:
    sound, onsets = syllables(6.0)
    opened = VoiceGate(FrameClock()).feed(sound)
    for onset in onsets:
        first = onset * 30 // 16000
        assert not opened[first - 3 : first].any()
        assert opened[first : first + 3].any()


def test_mouth_opening_of_a_frame() -> None:
    face = np.zeros(51, np.float32)
    face[ARKIT_51.coefficients.index("jawOpen")] = 0.4
    assert jaw(frame(face), ARKIT_51.coefficients) == pytest.approx(0.4)
    rotations = np.tile(np.array([1, 0, 0, 0], np.float32), (55, 1))
    rotations[SMPLX_55.joint_names.index("jaw")] = [np.cos(0.1), np.sin(0.1), 0, 0]
    opened = frame(np.zeros(100, np.float32), rotations)
    assert jaw(opened, FLAME_100.coefficients) == pytest.approx(0.2, abs=1e-3)


def test_reactions_are_the_first_frames_that_open() -> None:
    arrivals = np.arange(60) / 30  # two seconds
    jaws = np.full(60, 0.01)
    jaws[18:24] = 0.2  # opens at 0.6 s
    jaws[0:2] = 0.5  # before the first onset, and closed again
    assert reactions([0.5], arrivals, jaws) == pytest.approx([100.0])
    assert reactions([0.61], arrivals, jaws) == [500.0], "already open"
    assert reactions([1.2], arrivals, jaws) == [500.0], "never opened"
    trembling = jaws + np.where(np.arange(60) % 2, 0.02, 0.0)
    assert reactions([0.5], arrivals, trembling) == pytest.approx([100.0])


@pytest.mark.audio_device
@pytest.mark.slow
def test_frames_are_timed_against_played_syllables(sound_card: object, tmp_path: Path) -> None:
    """A random model opens its mouth at random; only frames and times are checked."""
    save_bundle(tiny_bundle(), tmp_path, half=False)
    report = reaction_report(["--model", str(tmp_path), "--hop", "2"], 4.0)
    assert report["onsets"] >= 2
    assert report["hop_frames"] == 2
    assert 0 < report["ms"]["p50"] <= 500
    assert abs(report["playing_offset_ms"]) < 100
