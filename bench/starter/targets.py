"""Targets of a starter bundle: bounds on numbers by name, and the table of results.

Wrist speed is bounded as well, since a nearly motionless figure would meet many of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """Number by name and its bounds, inclusive."""

    name: str
    least: float | None = None
    most: float | None = None

    @property
    def bounds(self) -> str:
        """Bounds as text."""
        if self.least is None:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"

    def holds(self, numbers: Numbers) -> bool | None:
        """True if the number is within bounds; None if it is missing."""
        value = numbers.get(self.name)
        if value is None:
            return None
        above = self.least is None or value >= self.least
        return bool(above and (self.most is None or value <= self.most))


TARGETS: tuple[Target, ...] = (
    Target("wrist speed in speech m/s", least=0.3, most=0.8),
    Target("strokes near a stress, over chance", least=2.0),
    Target("BC, p", most=0.01),
    Target("family over base rate, with words", least=3.0),
    Target("family, p, without words", least=0.05),
    Target("jaw, r with the phones", least=0.8),
    Target("closed on p b m", least=0.85),
    Target("silence to closed mouth, 90 % s", most=0.2),
    Target("skate ratio", most=0.05),
    Target("weight shifts or steps a minute", least=2.0),
    Target("jerk over real clips", most=1.3),
    Target("elbows or knees bent back", most=0.01),
    Target("hands in the body", most=0.02),
    Target("FGD over that between halves", most=1.5),
    Target("FGD live over offline", most=1.1),
    Target("blinks a minute", least=8.0, most=30.0),
    Target("silence over speech", most=0.35),
    Target("first syllable to motion, median s", most=0.6),
    Target("last syllable to rest, median s", most=3.0),
    Target("longest freeze s", most=1.0),
    Target("one voice: wrist variance of a minute, farthest from the mean", most=0.3),
    Target("root, first to last minute m", most=0.5),
    Target("seconds nearer than 2 cm to a clip", most=0.05),
    Target("seconds that are repeated within 1 cm", most=0.05),
)


def verdicts(numbers: Numbers, targets: Sequence[Target] = TARGETS) -> dict[str, bool | None]:
    """Result of each target by name."""
    return {target.name: target.holds(numbers) for target in targets}


def table(columns: Mapping[str, Numbers], targets: Sequence[Target] = TARGETS) -> str:
    """All numbers, one column per source of motion; the first one is compared with the targets."""
    wanted = {target.name: target for target in targets}
    first = next(iter(columns.values()))
    names = list(dict.fromkeys(name for numbers in columns.values() for name in numbers))
    wide = max(map(len, names), default=0) + 2
    lines = [" " * wide + "".join(f"{title:>11}" for title in columns) + "   target"]
    for name in names:
        cells = "".join(f"{_shown(numbers.get(name)):>11}" for numbers in columns.values())
        line = f"{name:<{wide}}{cells}"
        if name in wanted:
            verdict = {True: "met", False: "NOT MET", None: "not measured"}
            line += f"   {wanted[name].bounds:<12} {verdict[wanted[name].holds(first)]}"
        lines.append(line)
    found = verdicts(first, targets)
    held, measured = (sum(v is not x for v in found.values()) for x in (False, None))
    held -= len(found) - measured
    return "\n".join([*lines, f"{held} of {measured} measured targets met ({len(found)} in all)"])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
