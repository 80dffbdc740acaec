"""Schedules: the sequence of windows, as validated data.

A window of `window` frames ends `lookahead` frames after the last new one:

    | context (audio only) | seed (visible) | hop (new) | lookahead (predicted, not kept) |

The model sees `seed` emitted frames; `hop` new ones are kept; a window waits for the audio of
`lookahead` further frames. The published offline schedule is 64 / 4 / 60 / 0.

The reference implementations render files in windows of their own, each of which begins with its
seeds: the last frames of the previous window, decoded alone. `FileRules` describes how these
windows are joined.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from engine.clock import FrameClock
from engine.errors import ConfigError


class Overlap(StrEnum):
    """Window whose prediction is kept in shared frames."""

    EARLIER = "earlier"  # the later window drops its seeds (2024)
    LATER = "later"  # the earlier window drops its last frames (2025)


class Tail(StrEnum):
    """Treatment of the frames after the last whole window."""

    PARTIAL = "partial"  # a shorter window, if it is longer than its seeds
    DROP = "drop"  # they are lost


@dataclass(frozen=True)
class FileRules:
    """Rules by which a reference implementation joins windows; a file is decoded once, at its end.

    Attributes:
        overlap: window whose prediction is kept in shared frames.
        tail: treatment of the frames after the last whole window.
        truncated: true if audio is cut at `sample_rate // frame_rate` samples per frame, which
            gains 0.6 ms per second on the frames; false for exact frame boundaries.
        multiple: the length of a file in frames is rounded down to a multiple of this.
        rounded: true for `samples * frame_rate // sample_rate` frames per file, so that the last
            frame needs the sample that it shares with the next one; false for those that
            `FrameClock` counts as complete: one more if only that sample is missing.

    """

    overlap: Overlap
    tail: Tail
    truncated: bool = True
    multiple: int = 1
    rounded: bool = False

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise ConfigError(f"multiple must be at least 1, got {self.multiple}")

    def frames(self, samples: int, clock: FrameClock) -> int:
        """Frames of a file of `samples` samples."""
        whole = samples * clock.frame_rate // clock.sample_rate
        complete = whole if self.rounded else clock.frames_complete(samples)
        return complete // self.multiple * self.multiple


@dataclass(frozen=True)
class Schedule:
    """Frame counts of one step; raises ConfigError if they do not fit into the window.

    Attributes:
        window: length of a window, frames.
        seed: frames already emitted that the network sees, at most `window - hop - lookahead`.
        hop: new frames per window.
        lookahead: future frames of audio that a window waits for; adds to the latency.
        files: rules for whole files; null for a stream.

    """

    window: int = 64
    seed: int = 60
    hop: int = 2
    lookahead: int = 0
    files: FileRules | None = None

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
        if self.files is not None and self.seed + self.hop != self.window:
            raise ConfigError(
                f"windows of a file overlap by their seeds: seed {self.seed} + hop {self.hop} must "
                f"be the window of {self.window} frames"
            )

    @property
    def first_new(self) -> int:
        """Position in the window of the first new frame."""
        return self.window - self.hop - self.lookahead

    @property
    def algorithmic_frames(self) -> int:
        """Frames of audio that must pass before the first frame of a hop can be computed."""
        return self.hop + self.lookahead

    @property
    def fewest(self) -> int:
        """Frames of the shortest audio that gives any poses."""
        if self.files is None:
            return 1
        partial = self.files.tail is Tail.PARTIAL
        least = min(self.window, 2 * self.seed + 1) if partial else self.window
        return -(-least // self.files.multiple) * self.files.multiple

    @property
    def newest(self) -> int | None:
        """Newest frames of a window that are used; None for all, as in whole files."""
        return None if self.files is not None else self.algorithmic_frames

    def with_hop(self, hop: int | None, lookahead: int | None) -> "Schedule":
        """The same window with another hop or look-ahead, and the largest seed that fits."""
        hop = self.hop if hop is None else hop
        lookahead = self.lookahead if lookahead is None else lookahead
        room = self.window - hop - lookahead
        return replace(self, hop=hop, lookahead=lookahead, seed=max(1, min(self.seed, room)))


OFFLINE = Schedule(window=64, seed=4, hop=60, lookahead=0)
"""The published windows, streamed."""


def published_audio_schedule(window: int = 64, seed: int = 4) -> Schedule:
    """Schedule by which emage-audio (2025) renders a file."""
    rules = FileRules(Overlap.LATER, Tail.PARTIAL, rounded=True)
    return Schedule(window, seed, window - seed, files=rules)


def published_text_schedule(window: int = 64, seed: int = 4) -> Schedule:
    """Schedule by which emage-text (2024) renders a file."""
    rules = FileRules(Overlap.EARLIER, Tail.DROP, multiple=8)
    return Schedule(window, seed, window - seed, files=rules)
