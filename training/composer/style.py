"""Speaker styles of the corpus: rates and amplitudes of motion.

The scale is that of people who present a topic standing: with all factors 1 the corpus moves, on
average, like the speaker of BEAT2 that it is compared with (`bench.quality.corpus_comparison`).
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Style:
    """Motion style of a speaker.

    Attributes:
        name: name of the speaker.
        share: share of the takes.
        stress_s: speech per stroke, seconds.
        amplitude: factor of hands and shoulders.
        tempo: factor of the speed of movements.
        one_handed: share of gestures.
        patience: range of the silence before hands retract, seconds.
        steps: bouts of steps per minute.
        shifts: weight shifts per minute.
        roam: standard deviation of the position, metres.
        sway: factor of the hips' sway.
        head: factor of head motion.
        torso: factor of trunk motion.
        lean: forward lean, radians.
        away: share of gaze shifts away from the listener.
        brows: factor of brow motion.
        smile: mean coefficient.
        blinks: blinks per minute.
        listens: true for a listener, who neither speaks nor gestures.
        determinism: variance reduction of gestures, 0..1 (`training.composer.low_variance_rng`).
        stroke_lead_s: time by which strokes land earlier than a causal reaction, seconds.

    """

    name: str
    share: float
    stress_s: float = 0.78
    amplitude: float = 1.22
    tempo: float = 1.0
    one_handed: float = 0.35
    patience: tuple[float, float] = (0.8, 1.5)
    steps: float = 41.0
    shifts: float = 2.0
    roam: float = 0.34
    sway: float = 1.0
    head: float = 1.0
    torso: float = 1.0
    lean: float = 0.0
    away: float = 0.5
    brows: float = 1.0
    smile: float = 0.3
    blinks: float = 16.0
    listens: bool = False
    determinism: float = 0.0
    stroke_lead_s: float = 0.0


LIVELY = Style("lively", 0.62, smile=0.4)
FORMAL = Style(
    "formal", 0.18, stress_s=0.86, amplitude=1.05, one_handed=0.2, steps=26.0, shifts=4.0,
    roam=0.24, patience=(0.6, 1.1), sway=0.75, head=0.85, torso=0.8, lean=-0.02, away=0.3,
    brows=0.7, smile=0.16, blinks=14.0,
)  # fmt: skip
CALM = Style(
    "calm", 0.13, stress_s=1.0, amplitude=0.9, tempo=0.85, one_handed=0.5, patience=(0.45, 0.9),
    steps=16.0, shifts=6.0, roam=0.2, sway=0.7, head=0.8, torso=0.7, lean=0.01, brows=0.7,
    smile=0.28, blinks=18.0,
)  # fmt: skip
LISTENER = Style(
    "listener", 0.07, amplitude=0.8, steps=1.0, shifts=5.0, roam=0.1, sway=0.6, head=0.8, torso=0.6,
    lean=0.02, away=0.3, brows=0.8, smile=0.26, blinks=20.0, listens=True,
)  # fmt: skip

STYLES: dict[str, Style] = {style.name: style for style in (LIVELY, FORMAL, CALM, LISTENER)}
"""Speakers by name, in the order of their numbers."""


def draw_style(rng: np.random.Generator) -> Style:
    """Draw one of STYLES by its share."""
    shares = np.array([style.share for style in STYLES.values()])
    return list(STYLES.values())[int(rng.choice(len(shares), p=shares / shares.sum()))]


def vary_style(style: Style, rng: np.random.Generator) -> Style:
    """Vary a style at random, as a person differs from day to day."""

    def about(value: float, spread: float) -> float:
        return float(value * np.exp(rng.normal(0.0, spread)))

    return replace(
        style,
        stress_s=about(style.stress_s, 0.06),
        amplitude=about(style.amplitude, 0.07),
        tempo=about(style.tempo, 0.04),
        one_handed=float(np.clip(style.one_handed + rng.normal(0, 0.1), 0.05, 0.9)),
        steps=about(style.steps, 0.4),
        shifts=about(style.shifts, 0.25),
        sway=about(style.sway, 0.15),
        head=about(style.head, 0.12),
        torso=about(style.torso, 0.12),
        lean=float(style.lean + rng.normal(0, 0.02)),
        brows=about(style.brows, 0.2),
        smile=float(np.clip(style.smile + rng.normal(0, 0.1), 0.02, 0.7)),
        blinks=about(style.blinks, 0.2),
    )
