"""HTML report on quality: one self-contained page of numbers, plots and stick figures."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

MEANINGS: dict[str, str] = {
    "fgd": "Frechet gesture distance; 0: equal distributions",
    "fgd_between_halves_of_gt": "Frechet gesture distance between two halves of the truth",
    "bc_code_with_slip": "beat constancy as published: over onsets, threshold checked 60 frames "
    "too early",
    "bc_code_without_slip": "beat constancy over onsets, threshold checked at the right frame",
    "bc_equation_13": "beat constancy by equation 13: over gesture beats",
    "l1_diversity_code_m": "L1 diversity as published: distance from the mean pose (m)",
    "l1_diversity_equation_12_m": "L1 diversity by equation 12: half the distance of pairs (m)",
    "wrist_speed_m_s": "mean speed of both wrists (m/s)",
    "jerk_m_s3": "mean jerk of all joints (m/s³)",
    "wrist_jerk_m_s3": "mean jerk of the wrists (m/s³)",
    "skate_ratio": "share of frames in which a foot slides on the floor",
    "sliding_m_s": "mean speed of feet near the floor (m/s)",
    "steps_per_minute": "steps per minute",
    "hands_inside_share": "share of frames with a hand inside the body",
    "hands_inside_deepest_m": "maximum depth of a hand inside the body (m)",
    "speech_share": "share of frames with speech",
    "strokes_per_minute_in_speech": "strokes per minute in speech",
    "strokes_per_minute_in_silence": "strokes per minute in silence",
    "faster_wrist_in_speech_m_s": "speed of the faster wrist in speech (m/s)",
    "faster_wrist_in_silence_m_s": "speed of the faster wrist in silence (m/s)",
    "seam_jump_m_s": "change of velocity at seams (m/s)",
    "seam_elsewhere_m_s": "change of velocity at other frames (m/s)",
    "seam_ratio": "ratio of these changes; 1: no visible seam",
    "nearest_training_median_m": "distance to the nearest training clip, median (m)",
    "nearest_training_p5_m": "distance to the nearest training clip, 5th percentile (m)",
    "joint_error_m": "mean distance of joints from the truth (m)",
    "wrist_error_m": "mean distance of wrists from the truth (m)",
    "wrist_speed_r": "correlation of wrist speed with the truth",
    "face_mse": "mean squared error of face coefficients",
    "face_lvd_per_s": "mean difference of face velocities (1/s)",
}
"""Meaning of each number, in the order of the page."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; }
body { padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.n { text-align: right; }
code { font-size: .85em; opacity: .75; }
figure { margin: 1.5rem 0; }
figcaption { font-size: .9em; opacity: .8; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
"""


def page(title: str, numbers: Mapping[str, Any], pictures: Sequence[tuple[str, bytes]]) -> str:
    """One HTML page.

    numbers: of `bench.quality.quality.as_json`; pictures: (caption, PNG).
    """
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>Takes: {numbers['takes']}, {numbers['seconds']:.0f} s of motion. Raw units; papers "
        "print FGD and BC times ten.</p>",
        _sides(numbers["pred"], numbers["gt"]),
        "<h2>Against the truth</h2>",
        _single(numbers["both"]),
        _codes(numbers.get("codes") or {}),
        _list("Notes", numbers["notes"]),
        _list("Problems", [f"{name}: {text}" for name, text in numbers.get("problems", [])]),
        *(_figure(caption, png) for caption, png in pictures),
        _takes(numbers["by_take"]),
        "</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def formatted(value: float | None) -> str:
    """Number with four digits, or a dash."""
    return "–" if value is None else f"{value:.4g}"  # noqa: RUF001 a dash


def _named(name: str) -> str:
    return f"<td>{escape(MEANINGS.get(name, name))}<br><code>{escape(name)}</code></td>"


def _ordered(*numbers: Mapping[str, Any]) -> list[str]:
    present = {name for own in numbers for name in own}
    return [n for n in MEANINGS if n in present] + sorted(present - set(MEANINGS))


def _sides(pred: Mapping[str, Any], gt: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr>{_named(n)}<td class=n>{formatted(pred.get(n))}</td>"
        f"<td class=n>{formatted(gt.get(n))}</td>"
        for n in _ordered(pred, gt)
    )
    return f"<table><tr><th>Measure<th class=n>generated<th class=n>true{rows}</table>"


def _single(numbers: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr>{_named(n)}<td class=n>{formatted(numbers[n])}</td>" for n in _ordered(numbers)
    )
    return f"<table>{rows}</table>"


def _codes(codes: Mapping[str, Mapping[str, Any]]) -> str:
    if not codes:
        return ""
    rows = "".join(
        f"<tr><td>{escape(part)}<td class=n>{own['codes']}<td class=n>{100 * own['usage']:.0f} %"
        f"<td class=n>{own['perplexity']:.1f}"
        for part, own in codes.items()
    )
    head = "<tr><th>Codebook<th class=n>codes<th class=n>used<th class=n>perplexity"
    return f"<h2>Codes of the generated motion</h2><table>{head}{rows}</table>"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}" for line in lines)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>"


def _figure(caption: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return (
        f"<figure><img alt='{escape(caption, quote=True)}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


_OF_A_TAKE = (
    *("bc_code_with_slip", "l1_diversity_code_m", "wrist_speed_m_s", "jerk_m_s3", "skate_ratio"),
    "strokes_per_minute_in_speech",
)


def _takes(takes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    head = "".join(f"<th class=n><code>{escape(n)}</code>" for n in _OF_A_TAKE)
    rows = "".join(
        f"<tr><td>{escape(name)} ({side})"
        + "".join(f"<td class=n>{formatted(sides[side].get(n))}" for n in _OF_A_TAKE)
        for name, sides in takes.items()
        for side in ("pred", "gt")
    )
    return f"<h2>By take</h2><table><tr><th>Take{head}{rows}</table>"
