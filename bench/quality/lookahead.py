"""Cost of missing look-ahead: the newest frames against the same frames with a known future.

Two losses. A network with look-ahead computes its newest frames without the audio that follows:
their latents differ from those of a later window (`latents`). A decoder with look-ahead decodes
the newest codes without the codes that follow: its rotations differ from those of decoding
everything at once (`decoding`; `emitted`: after inertialization of the seams).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.metrics.codes import selected_codes
from engine.bundle.io import Bundle
from engine.generate.sampling import SamplingConfig
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import pose_decoder, staged_step
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.pose import concatenate
from engine.motion.rotation import inverse, log, multiply
from engine.motion.skeleton import PART_JOINTS, BodyPart
from engine.stream.stream import GestureStream
from engine.timing import percentiles

_FUTURE_FRAMES = 24  # more than any reference network uses: 600 ms of audio, 21 frames of codes
_SETTLED_FRAMES = 15  # length of the seam with the rest pose


class Recording:
    """Kernel wrapper that stores inputs and outputs."""

    def __init__(self, kernel: Kernel) -> None:
        self.name = kernel.name
        self._kernel = kernel
        self.inputs: list[WindowInputs] = []
        self.outputs: list[WindowOutputs] = []

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward pass over one window."""
        outputs = self._kernel(inputs)
        self.inputs.append(inputs._replace(audio=inputs.audio.clone()))
        self.outputs.append(outputs)
        return outputs


@dataclass(frozen=True)
class LookaheadReport:
    """Errors of the newest frames.

    Attributes:
        hop: frames per hop.
        steps: hops measured.
        latents: error relative to the latents' own length, by part.
        codes_changed: share of frames for which another code was selected, by part.
        decoding_degrees: errors of edge decoding over the joints of the body (p50, p95, p99, max).
        emitted_degrees: the same for emitted rotations.

    """

    hop: int
    steps: int
    latents: dict[str, float]
    codes_changed: dict[str, float]
    decoding_degrees: dict[str, float] | None
    emitted_degrees: dict[str, float] | None


def lookahead_report(bundle: Bundle, samples: np.ndarray, hop: int) -> LookaheadReport:
    """Run a bundle live at `hop` on mono samples `[S]`, with arg-max codes."""
    certain = replace(bundle, config=replace(bundle.config, sampling=SamplingConfig(0.0)))
    schedule = bundle.config.schedule.with_hop(hop, 0)
    kernel = Recording(EagerKernel(bundle.gesture))
    step = staged_step(certain, schedule, kernel=kernel)
    stream = GestureStream(certain, schedule=schedule, step=step)
    stream.feed_audio(samples)
    rotations = torch.from_numpy(concatenate(stream.drain()).rotations)
    latents, changed = _latent_errors(certain, kernel, schedule)
    codes = torch.cat([_pick(certain, out, schedule.first_new) for out in kernel.outputs], 2)
    decoding, emitted = _decoding_errors(certain, codes, rotations, hop)
    return LookaheadReport(hop, len(kernel.outputs), latents, changed, decoding, emitted)


def _pick(bundle: Bundle, outputs: WindowOutputs, start: int, count: int | None = None) -> Tensor:
    """Codes `[1, P, n]` of the frames from `start` on."""
    where = slice(start, None if count is None else start + count)
    newest = WindowOutputs(*(tuple(part[:, where] for part in kind) for kind in outputs))
    return torch.stack([selected_codes(bundle, part, newest) for part in BodyPart], 1)


def _latent_errors(
    bundle: Bundle, kernel: Recording, schedule: Schedule
) -> tuple[dict[str, float], dict[str, float]]:
    """Errors against a later window with the same seeds, as far ahead as the window allows."""
    hop, new = schedule.hop, schedule.first_new
    later = max(1, min(_FUTURE_FRAMES, schedule.first_new // 2) // hop)
    ahead = later * hop
    errors: dict[BodyPart, list[float]] = {part: [] for part in BodyPart}
    changes: dict[BodyPart, list[float]] = {part: [] for part in BodyPart}
    model = EagerKernel(bundle.gesture)
    for step in range(len(kernel.inputs) - later):
        live, known = kernel.inputs[step], kernel.inputs[step + later]
        shown = known._replace(
            motion=_earlier(live.motion, ahead, 0.0), mask=_earlier(live.mask, ahead, 1.0)
        )
        edge, full = kernel.outputs[step], model(shown)
        codes = _pick(bundle, edge, new) != _pick(bundle, full, new - ahead, hop)
        for p, part in enumerate(BodyPart):
            truth = full.latents[p][:, new - ahead : new - ahead + hop]
            error = (edge.latents[p][:, new:] - truth).norm(dim=-1) / truth.norm(dim=-1)
            errors[part].append(float(error.mean()))
            changes[part].append(float(codes[:, p].float().mean()))
    mean = {part.value: round(float(np.mean(values)), 4) for part, values in errors.items()}
    return mean, {part.value: round(float(np.mean(v)), 4) for part, v in changes.items()}


def _earlier(frames: Tensor, count: int, filling: float) -> Tensor:
    """Window `[B, T, C]` shifted by `count` frames towards its beginning."""
    rest = torch.full_like(frames[:, :count], filling)
    return torch.cat((frames[:, count:], rest), 1)


def _decoding_errors(
    bundle: Bundle, codes: Tensor, emitted: Tensor, hop: int
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """Degrees of edge decoding and of emitted rotations `[T, J, 4]` against full decoding."""
    decoder = pose_decoder(bundle)
    full = decoder.decode(codes, codes.shape[2]).rotations[0]
    edge = torch.cat(
        [
            decoder.decode(codes[:, :, max(0, end - decoder.context - hop) : end], hop).rotations[0]
            for end in range(hop, codes.shape[2] + 1, hop)
        ]
    )
    # The first frames have another past, the last ones no future in either decoding.
    known = slice(decoder.context + _SETTLED_FRAMES, codes.shape[2] - decoder.edge)
    joints = [j for part in BodyPart if part is not BodyPart.FACE for j in PART_JOINTS[part]]
    return tuple(  # type: ignore[return-value]
        percentiles(_degrees(made[known][:, joints], full[known][:, joints]))
        for made in (edge, emitted)
    )


def _degrees(a: Tensor, b: Tensor) -> list[float]:
    angles = log(multiply(a, inverse(b))).norm(dim=-1)
    return list(np.rad2deg(angles.numpy()).ravel())


def table(reports: Sequence[LookaheadReport]) -> str:
    """One line of text per hop."""
    lines = [
        "hop  latents (face upper hands lower)   codes changed             degrees p50 p99 max"
    ]
    for report in reports:
        latents = " ".join(f"{value:7.4f}" for value in report.latents.values())
        changed = " ".join(f"{value:6.3f}" for value in report.codes_changed.values())
        found: dict[str, Any] = report.decoding_degrees or {}
        degrees = " ".join(f"{found.get(key, 0.0):6.2f}" for key in ("p50", "p99", "max"))
        lines.append(f"{report.hop:3d}  {latents}   {changed}   {degrees}")
    return "\n".join(lines)
