"""Effect of late words on strokes: without words, known ahead, and so many seconds late.

The bundle moves live to test voices in one stream. Each row has strokes per minute, and the share
near a stressed word over chance (`bench.starter.beat_alignment`).
"""

from collections.abc import Sequence

from bench.starter.beat_alignment import stroke_numbers
from bench.starter.renderings import live, with_transcript
from bench.starter.speech_set import Part
from engine.bundle.io import Bundle
from engine.stream.stream import GestureStream

Rows = dict[str, dict[str, float]]
_ROUNDS = 2000
_SHOWN = ("strokes a minute", "strokes near a stress, over chance", "strokes near a stress, p")


def late_words(bundle: Bundle, parts: Sequence[Part], late_s: Sequence[float]) -> Rows:
    """Stroke numbers by name of the word timing: without, known ahead, or seconds late."""
    ways: dict[str, tuple[bool, float | None]]
    ways = {"no words": (False, None), "known ahead": (True, None)}
    ways |= {f"{by:g} s late": (True, by) for by in late_s}
    return {
        name: stroke_numbers(
            with_transcript(live(GestureStream(bundle), parts, with_words=known, late_s=by)),
            _ROUNDS,
        )
        for name, (known, by) in ways.items()
    }


def late_table(rows: Rows) -> str:
    """Rows as lines of text."""
    lines = [f"{'words':<14} strokes a minute  times chance      p"]
    for name, numbers in rows.items():
        rate, over, p = (numbers[key] for key in _SHOWN)
        lines.append(f"{name:<14} {rate:16.1f}  {over:12.2f}  {p:.3f}")
    return "\n".join(lines)
