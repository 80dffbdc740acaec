"""Composes the body of a take from lower body, arms, trunk and head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, forward_kinematics, multiply, normalize
from engine.motion.skeleton import SMPLX_55
from training.composer.arm_poses import ARM, SIDES
from training.composer.arms import JOINTS, Landing, animate_arms
from training.composer.blend import turn_joint
from training.composer.discourse import senses
from training.composer.gaze import Gaze, animate_gaze
from training.composer.library import ClipLibrary
from training.composer.low_variance_rng import low_variance
from training.composer.minimum_jerk import FPS, drift, gaussian_smooth
from training.composer.plan import GestureUnit, Stress, phrases
from training.composer.self_collision import resolve_collisions
from training.composer.stance import LOWER_JOINTS, contacts_of, lower_body
from training.composer.style import Style
from training.composer.torso import HeadSign, TorsoCues, animate_torso
from training.speech.speech import Speech

LONG_SILENCE_S = 1.5


@dataclass
class Body:
    """Body motion.

    Attributes:
        rotations: local quaternions, `[T, 55, 4]`.
        translation: of the root, `[T, 3]`, metres.
        contacts: of the feet, `[T, 4]`.

    """

    rotations: FloatArray
    translation: FloatArray
    contacts: FloatArray


@dataclass(frozen=True)
class Performance:
    """Body motion, gaze and strokes of the hands."""

    body: Body
    gaze: Gaze
    landings: tuple[Landing, ...]


def spans(speech: Speech) -> list[tuple[float, float]]:
    """Start and end of each phrase, seconds."""
    return [(words[0].start, words[-1].end) for words in phrases(speech)]


def energy_of(spoken: Sequence[tuple[float, float]], frames: int) -> np.ndarray:
    """Speech activity `[T]`, 0..1: rises when speech begins, decays a second after it ends."""
    times = np.arange(frames) / FPS
    talking = np.zeros(frames)
    for start, end in spoken:
        talking[(times >= start + 0.1) & (times < end + 1.0)] = 1.0
    energy = np.zeros(frames)
    level = talking[0] if frames else 0.0
    for t in range(frames):  # rises within half a second, decays within two
        level += (talking[t] - level) * (0.12 if talking[t] > level else 0.035)
        energy[t] = level
    return energy


def silences(spoken: Sequence[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    """Start and end of silences of at least LONG_SILENCE_S, seconds, in order."""
    edges = [0.0, *(x for span in spoken for x in span), seconds]
    gaps = list(zip(edges[::2], edges[1::2], strict=True))
    return [gap for gap in gaps if gap[1] - gap[0] >= LONG_SILENCE_S]


def head_signs(
    speech: Speech, rng: np.random.Generator, determinism: float = 0.0
) -> list[HeadSign]:
    """Draw the head gestures of the words. determinism: see `Style`."""
    found = []
    for words in phrases(speech):
        word_senses = senses([w.text for w in words])
        for word, sense in zip(words, word_senses, strict=True):
            if sense is not None and sense.head and rng.random() < 0.5 + 0.5 * determinism:
                found.append(HeadSign(word.vowel_start, sense.head, float(rng.uniform(0.7, 1.2))))
    return found


def listener_signs(
    spoken: Sequence[tuple[float, float]], rng: np.random.Generator
) -> list[HeadSign]:
    """Draw a listener's nods and tilts during and after each phrase."""
    found = []
    for start, end in spoken:
        at = start + float(rng.uniform(0.8, 2.5))
        while at < end:
            found.append(HeadSign(at, "nod" if rng.random() < 0.8 else "tilt", 0.7))
            at += float(rng.uniform(1.8, 5.0))
        if rng.random() < 0.6:
            found.append(HeadSign(end + float(rng.uniform(0.1, 0.4)), "nod", 1.0))
    return found


def perform(
    speech: Speech,
    stresses: Sequence[Stress],
    units: Sequence[GestureUnit],
    library: ClipLibrary,
    style: Style,
    rng: np.random.Generator,
) -> Performance:
    """Compose a body for `speech`; a listener's body responds to another speaker's speech."""
    frames = int(speech.duration * FPS)
    spoken = spans(speech)
    own = [] if style.listens else spoken
    energy = energy_of(own, frames)
    lower = lower_body(energy, style, rng)
    rotations = lower.rotations
    quiet = silences(own, speech.duration)
    # Speech drives arms, trunk and head only; legs and eyes stay fully random.
    used = low_variance(rng, style.determinism)
    arms = animate_arms([] if style.listens else units, quiet, library, style, frames, used)
    rotations[:, list(JOINTS)] = gaussian_smooth(arms.rotations)
    _add_noise(rotations, energy, style, used)
    signs = (
        listener_signs(spoken, rng)
        if style.listens
        else head_signs(speech, used, style.determinism)
    )
    thoughts = [sign.time for sign in signs if sign.kind == "up"]
    gaze = animate_gaze(frames, own, thoughts, style, rng)
    nodded = () if style.listens else stresses
    animate_torso(rotations, TorsoCues(energy, nodded, signs, gaze), style, used)
    rotations = resolve_collisions(np.asarray(normalize(rotations), np.float32))
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, rotations, lower.translation
    )
    body = Body(rotations, lower.translation, contacts_of(positions))
    return Performance(body, gaze, arms.landings)


_NOISE = ((0, 0.075), (1, 0.085), (2, 0.1), (3, 0.13))
"""Index in ARM and noise amplitude in radians."""


def _add_noise(
    rotations: FloatArray, energy: np.ndarray, style: Style, rng: np.random.Generator
) -> None:
    """Add smooth random motion to arms and fingers, in place."""
    frames = len(rotations)
    size = (style.amplitude * (0.15 + 0.85 * energy))[:, None]
    for side in SIDES:
        for place, spread in _NOISE:
            turn = size * spread * drift(frames, 3, rng.uniform(0.5, 0.9) * FPS, rng)
            turn_joint(rotations, ARM[side][place], turn)
        whole = drift(frames, 1, 0.8 * FPS, rng)
        for finger in range(5):
            bend = size * (0.2 * whole + 0.2 * drift(frames, 1, 0.4 * FPS, rng))
            axis = np.array([0.0, 0.0, -1.0 if side == "left" else 1.0])
            turn = exp((bend * axis).astype(np.float32))
            for joint in ARM[side][4 + 3 * finger : 7 + 3 * finger]:
                rotations[:, joint] = multiply(rotations[:, joint], turn)


__all__ = ["LOWER_JOINTS", "Body", "Performance", "perform"]
