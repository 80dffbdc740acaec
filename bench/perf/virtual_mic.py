"""Latency from played audio to jaw motion, with a virtual sound card.

Syllables are played into a private PulseAudio server that `emage-live --mic` records. The result is
the time from a syllable's first sample leaving the loudspeaker to the arrival of the first
WebSocket frame with an open jaw. It includes the sound card, voice gate, waiting for the hop,
computation, playout buffer and socket.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np

from bench.perf.live_process import LiveProcess
from bench.perf.sound_card import VirtualSoundCard
from engine.audio import SAMPLE_RATE
from engine.audio.player import Player
from engine.motion.pose import PoseFrame
from engine.motion.skeleton import SMPLX_55
from engine.timing import percentiles

_SYLLABLE_S: Final = 0.2
_FIRST_S: Final = 1.0
_AHEAD_S: Final = 0.5  # audio is queued so long before playback
_REACTION_S: Final = 0.5  # later jaw motion has another cause
_BEFORE_S: Final = 0.15
_JAW_OPENS: Final = 0.03  # of jawOpen, or radians: above the jitter of a closed mouth
_FORMANTS_HZ: Final = ((730, 90), (1090, 110), (2440, 170))  # and widths, of an open vowel


def syllable(pitch_hz: float = 130.0) -> np.ndarray:
    """Vowel `[S]`, float32, with an onset of 3 ms and a length of 200 ms."""
    t = np.arange(int(_SYLLABLE_S * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros(len(t))
    for harmonic in np.arange(pitch_hz, 4000, pitch_hz):
        level = sum(1 / (1 + ((harmonic - f) / w) ** 2) for f, w in _FORMANTS_HZ)
        sound += (level + 0.02) * np.sin(2 * np.pi * harmonic * t)
    sound *= np.minimum(1, t / 0.003) * np.minimum(1, (_SYLLABLE_S - t) / 0.05)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def syllables(seconds: float, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Audio `[S]` with pauses of 0.6 to 1 s, and the first samples of its syllables."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    onsets = []
    at = int(_FIRST_S * SAMPLE_RATE)
    while at + int((_SYLLABLE_S + _REACTION_S) * SAMPLE_RATE) < len(sound):
        voice = syllable(float(rng.uniform(110, 200)))
        sound[at : at + len(voice)] = voice
        onsets.append(at)
        at += len(voice) + int(rng.uniform(0.6, 1.0) * SAMPLE_RATE)
    return sound, onsets


def jaw(frame: PoseFrame, coefficients: Sequence[str]) -> float:
    """Mouth opening: jawOpen, or the angle of the jaw for faces without it."""
    if "jawOpen" in coefficients:
        return float(frame.face[list(coefficients).index("jawOpen")])
    turn = frame.rotations[SMPLX_55.joint_names.index("jaw")]
    return float(2 * np.arccos(np.clip(abs(turn[0]), 0, 1)))


def reactions(
    onsets_s: Sequence[float], arrivals_s: Sequence[float], jaws: Sequence[float]
) -> list[float]:
    """Milliseconds from each onset to the first frame with an opening jaw.

    An onset without one within half a second counts as half a second.
    """
    times, opening = np.asarray(arrivals_s), np.asarray(jaws)
    found = []
    for onset_s in onsets_s:
        before = opening[(times > onset_s - _BEFORE_S) & (times <= onset_s)]
        still = float(before.max()) if before.size else 0.0
        soon = (times > onset_s) & (times <= onset_s + _REACTION_S)
        took_s = times[soon & (opening > still + _JAW_OPENS)] - onset_s
        found.append(float(min([*took_s, _REACTION_S])) * 1000)
    return found


def reaction_report(arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run `emage-live --mic` with `arguments` while syllables are played for `seconds`.

    Raises AudioDeviceError if the virtual sound card cannot be started.
    """
    with tempfile.TemporaryDirectory() as folder:
        card = VirtualSoundCard(Path(folder))
        with mock.patch.dict(os.environ, card.environment):
            card.start()
            try:
                return _play_and_watch(card, arguments, seconds)
            finally:
                card.stop()


def _play_and_watch(
    card: VirtualSoundCard, arguments: Sequence[str], seconds: float
) -> dict[str, Any]:
    from engine.audio.device import rescan

    rescan()
    sound, onsets = syllables(seconds)
    with LiveProcess(["--mic", *arguments], environment=card.environment) as live:
        begin_s, offset_ms = _play(sound)
        live.stop()
        ended = live.finish()
        coefficients = live.client.format.face.coefficients
    played_s = [begin_s + onset / SAMPLE_RATE + offset_ms / 1000 for onset in onsets]
    jaws = [jaw(frame, coefficients) for _, frame in live.received]
    took = reactions(played_s, [at for at, _ in live.received], jaws)
    limit = _REACTION_S * 1000
    return {
        "hop_frames": ended.report["hop_frames"],
        "onsets": len(took),
        "without_reaction": sum(value >= limit for value in took),
        "ms": percentiles(took),
        "late_frames": ended.report["late_frames"],
        "playing_offset_ms": round(offset_ms, 2),
    }


def _play(sound: np.ndarray) -> tuple[float, float]:
    """Play `sound`; time at which its first sample was due, and its delay in milliseconds."""
    begin_s = time.monotonic() + _AHEAD_S
    player = Player(lambda sample: begin_s + sample / SAMPLE_RATE, lambda: 0.0)
    given = 0
    while (played_s := time.monotonic() - begin_s) < len(sound) / SAMPLE_RATE:
        end = min(len(sound), int((played_s + 2 * _AHEAD_S) * SAMPLE_RATE))
        if end > given:
            player.take(given, sound[given:end])
            given = end
        time.sleep(0.02)
    offset = player.offset_ms()
    player.close()
    return begin_s, 0.0 if offset is None else offset["p50"]
