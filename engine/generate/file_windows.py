"""Windows of whole files as the reference implementations cut and join them.

A window begins with its seeds, the last frames that the window before, decoded alone, gave. The
codes of all windows are joined and decoded once, at the end of the file.
"""

import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.generate.decoder import Decoded, Decoder, to_cpu
from engine.generate.schedule import FileRules, Overlap, Schedule
from engine.generate.state import StreamState
from engine.generate.step import HopStep, StagedStep
from engine.generate.window import WindowLayout


class FileWindows:
    """Joins the windows of a file by the rules of its schedule.

    Raises ConfigError for a step with a sampling temperature, and for a step that is not a
    `StagedStep`.
    """

    def __init__(self, schedule: Schedule, rules: FileRules, step: HopStep) -> None:
        if step.sampler.samples:
            temperature = step.sampler.sampling.temperature
            raise ConfigError(
                "published windows predict their seeds twice and take the likeliest code: set the "
                f"sampling temperature to 0, not {temperature:g}, for all parts"
            )
        if not isinstance(step, StagedStep):
            raise ConfigError(
                f"the step of {step.name} computes live hops only; render whole files by a "
                "StagedStep"
            )
        self.step = step
        self._schedule, self._rules = schedule, rules

    def layout(self, frames: int, *, first: bool) -> WindowLayout:
        """The layout of a window; `frames` is less than the schedule's at the end of a file."""
        schedule, last = self._schedule, frames < self._schedule.window
        if self._rules.overlap is Overlap.EARLIER:
            new = slice(0 if first else schedule.seed, frames)
        else:
            new = slice(0, frames if last else schedule.hop)
        return WindowLayout(frames, slice(0, schedule.seed), new, frames)

    def keep(self, state: StreamState, codes: Tensor, layout: WindowLayout) -> None:
        """Keep the codes `[B, P, frames]` of a window and advance the streams."""
        state.kept.append(codes[:, :, layout.new])
        state.frame += self._schedule.hop

    @staticmethod
    def decode(state: StreamState, decoder: Decoder) -> Decoded | None:
        """Decode the kept codes and forget them; None if there are none."""
        if not state.kept:
            return None
        codes = torch.cat(state.kept, 2)
        state.kept.clear()
        return to_cpu(decoder.decode(codes, codes.shape[2]))
