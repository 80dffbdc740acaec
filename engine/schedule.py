"""Schedules: how windows follow one another, as validated data.

A window of `window` frames ends `lookahead` frames after the last new one:

    | context (audio only) | seed (visible) | hop (new) | lookahead (predicted, not kept) |

`seed` already emitted frames are shown to the model, `hop` new ones are taken from it, and audio of
`lookahead` further frames is waited for. The published offline schedule is 64 / 4 / 60 / 0.
"""

from dataclasses import dataclass, replace

from engine.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """Frame counts of one step; raises ConfigError where they do not fit into the window."""

    window: int = 64
    seed: int = 60
    hop: int = 2
    lookahead: int = 0

    def __post_init__(self) -> None:
        if self.hop < 1 or self.seed < 1 or self.lookahead < 0:
            raise ConfigError(
                f"a schedule needs hop >= 1, seed >= 1 and lookahead >= 0, got hop {self.hop}, "
                f"seed {self.seed}, lookahead {self.lookahead}"
            )
        if self.seed + self.hop + self.lookahead > self.window:
            raise ConfigError(
                f"seed {self.seed} + hop {self.hop} + lookahead {self.lookahead} must fit into "
                f"the window of {self.window} frames; choose a smaller hop or lookahead"
            )

    @property
    def first_new(self) -> int:
        """Position in the window of the first new frame."""
        return self.window - self.hop - self.lookahead

    @property
    def algorithmic_frames(self) -> int:
        """Frames of audio that must pass before the first frame of a hop can be computed."""
        return self.hop + self.lookahead

    def with_hop(self, hop: int | None, lookahead: int | None) -> "Schedule":
        """The same window at another hop or look-ahead, showing at most as much seed as fits."""
        hop = self.hop if hop is None else hop
        lookahead = self.lookahead if lookahead is None else lookahead
        room = self.window - hop - lookahead
        return replace(self, hop=hop, lookahead=lookahead, seed=max(1, min(self.seed, room)))


OFFLINE = Schedule(window=64, seed=4, hop=60, lookahead=0)
"""The published way of rendering a file."""
