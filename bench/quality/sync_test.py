"""Sync test of a bundle on synthetic speech that is not in any training set.

Synthesises held-out sentences with held-out voices, renders them through the live stream and tests
stroke times against stressed words (`bench.quality.sync`).
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.metrics.strokes import arm_speed, stroke_times
from bench.quality.sync import Utterance, mute_report, stroke_test
from engine.bundle.io import Bundle
from engine.motion.pose import Motion, concatenate
from engine.stream.stream import GestureStream
from training.composer.plan import prominent_words
from training.speech.scripts import TEST_VOICES, speak
from training.speech.sentences import chat, held_out
from training.speech.speech import Speech
from training.speech.synthesis import Voice

_SENTENCES = 6  # per utterance: about 20 s


def held_out_speech(seconds: float, seed: int = 0) -> Iterator[Speech]:
    """Utterances of held-out sentences, together at least `seconds` long."""
    rng = np.random.default_rng(seed)
    voices = sorted(TEST_VOICES)
    number = 0
    while seconds > 0:
        texts = [text for text in (chat(rng) for _ in range(200)) if held_out(text)]
        tempo, pitch = float(rng.uniform(0.9, 1.1)), float(rng.uniform(0.95, 1.05))
        voice = Voice(voices[number % len(voices)], tempo, pitch)
        speech = speak(texts[:_SENTENCES], voice, rng)
        yield speech
        seconds -= speech.duration
        number += 1


def rendered_speed(bundle: Bundle, samples: np.ndarray, seed: int) -> np.ndarray:
    """Arm speed `[T]` (m/s) of the bundle's motion for samples `[S]`."""
    stream = GestureStream(bundle, seed=seed)
    stream.feed_audio(samples)
    motion = Motion(stream.format, concatenate([*stream.drain(), *stream.flush()]))
    return arm_speed(motion.world_positions(), stream.clock.frame_rate)


def stroke_report(bundle: Bundle, seconds: float, seed: int = 0) -> dict[str, Any]:
    """Stroke test and muted comparison over `seconds` of held-out speech."""
    fps = bundle.config.clock.frame_rate
    utterances, spoken, muted = [], [], []
    for number, speech in enumerate(held_out_speech(seconds, seed)):
        speed = rendered_speed(bundle, speech.samples, number)
        stresses = np.array([stress.time for stress in prominent_words(speech)])
        utterances.append(Utterance(stroke_times(speed, fps), stresses, speech.duration))
        spoken.append(speed)
        if number < 3:  # muted motion does not depend on the utterance
            muted.append(rendered_speed(bundle, np.zeros_like(speech.samples), number))
    mute = mute_report(spoken, muted, fps)
    return {
        "bundle": bundle.config.name,
        "speech_s": round(sum(u.duration for u in utterances), 1),
        "utterances": len(utterances),
        **asdict(stroke_test(utterances)),
        **asdict(mute),
        "mute_ratio": mute.ratio,
    }
