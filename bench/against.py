"""Our engine against the published EMAGE program: same weights, same sound, one run.

Takes a checkout of the published repository (its `models/emage_audio` needs the package
transformers) and a checkpoint in the layout of 2025; both programs are timed in turn, so that
whatever else the machine does falls on both.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.bundle import Bundle
from engine.errors import ConfigError
from engine.kernels.base import WindowInputs
from engine.kernels.eager import EagerKernel
from engine.layout import MOTION
from engine.pose import concatenate
from engine.rotation import exp, inverse, log, multiply
from engine.sampling import CodeChoice
from engine.skeleton import BodyPart
from engine.stream import GestureStream, pose_decoder

_RATE = 16000


@dataclass(frozen=True)
class Comparison:
    """Milliseconds (medians), ours over theirs, and how far the results are apart.

    angle: the largest difference of a joint in degrees; place: of a position in metres.
    """

    name: str
    theirs_ms: float
    ours_ms: float
    ratio: float
    angle_degrees: float
    place_m: float


class Published:
    """The published program with a checkpoint; ConfigError where it cannot be imported."""

    def __init__(self, checkout: Path, weights: Path) -> None:
        code = _import(checkout)
        parts = ("face", "upper", "hands", "lower")
        vq = {
            f"{part}_model": code.EmageVQVAEConv.from_pretrained(weights / "emage_vq" / part)
            for part in parts
        }
        world = code.EmageVAEConv.from_pretrained(weights / "emage_vq" / "global")
        self._vq = code.EmageVQModel(**vq, global_model=world).eval()
        self._model = code.EmageAudioModel.from_pretrained(weights).eval()

    @torch.no_grad()
    def window(self, audio: Tensor, motion: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """One forward pass over a window and its decoding."""
        speaker = torch.zeros(1, 1, dtype=torch.int64)
        out = self._model(audio, speaker, masked_motion=motion, mask=mask, use_audio=True)
        return self._decoded(out)

    @torch.no_grad()
    def file(self, audio: Tensor) -> dict[str, Tensor]:
        """A whole file."""
        speaker = torch.zeros(1, 1, dtype=torch.int64)
        return self._decoded(self._model.inference(audio, speaker, self._vq))

    def _decoded(self, out: dict[str, Tensor]) -> dict[str, Tensor]:
        config = self._model.cfg
        chosen: dict[str, Tensor | None] = {}
        for part in ("face", "upper", "hands", "lower"):
            by_class = getattr(config, f"c{part[0]}") > 0
            chosen[f"{part}_index"] = out[f"cls_{part}"].argmax(-1) if by_class else None
            chosen[f"{part}_latent"] = None if by_class else out[f"rec_{part}"]
        return dict(self._vq.decode(**chosen, get_global_motion=True, ref_trans=torch.zeros(1, 3)))


def _import(checkout: Path) -> Any:
    if not (checkout / "models" / "emage_audio").is_dir():
        raise ConfigError(
            f"{checkout} is no checkout of the published program: expected models/emage_audio in "
            "it; clone PantoMatrix from its authors' GitHub page"
        )
    sys.path.insert(0, str(checkout))
    try:
        return import_module("models.emage_audio")
    except ImportError as error:
        raise ConfigError(
            f"the published program does not start ({error}); install what it needs, at least: "
            "pip install transformers omegaconf"
        ) from error


class Ours:
    """The same steps with our engine."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._kernel = EagerKernel(bundle.gesture)
        self._decoder = pose_decoder(bundle)

    def window(self, audio: Tensor, motion: Tensor, mask: Tensor) -> np.ndarray:
        """One forward pass over a window and its decoding; rotations `[T, J, 4]`."""
        frames = motion.shape[1]
        words = torch.zeros(1, frames, dtype=torch.int64)
        speaker = torch.zeros(1, dtype=torch.int64)
        out = self._kernel(WindowInputs(motion, mask, audio[..., None], words, speaker))
        codes = []
        for p, part in enumerate(BodyPart):
            latent = self._bundle.config.choices.get(part) is CodeChoice.LATENT
            module = self._bundle.parts[part]
            codes.append(module.nearest(out.latents[p]) if latent else out.logits[p].argmax(-1))
        return self._decoder.decode(torch.stack(codes, 1), frames).rotations[0].numpy()

    def file(self, audio: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """A whole file: rotations `[T, J, 4]`, positions `[T, 3]`."""
        stream = GestureStream(self._bundle, schedule=self._bundle.config.offline)
        stream.feed_audio(audio[0].numpy())
        poses = concatenate(stream.flush())
        return poses.rotations, poses.translation


def compare(
    checkout: Path, weights: Path, bundle: Bundle, samples: np.ndarray, repeats: int
) -> list[Comparison]:
    """Time and compare one window and the whole of `samples [S]`, `repeats` times in turn."""
    theirs, ours = Published(checkout, weights), Ours(bundle)
    schedule = bundle.config.offline
    audio = torch.from_numpy(samples[None].astype(np.float32))
    frames = schedule.window
    motion = torch.zeros(1, frames, MOTION.width)
    MOTION.unpack(motion)["rot6d"][:] = torch.tensor([1.0, 0, 0, 0, 1.0, 0]).repeat(55)
    mask = torch.ones_like(motion)
    mask[:, : schedule.seed] = 0.0
    cut = audio[:, : frames * (_RATE // bundle.config.clock.frame_rate)]
    window = _in_turn(
        lambda: theirs.window(cut, motion, mask),
        lambda: (ours.window(cut, motion, mask), None),
        repeats,
    )
    file = _in_turn(lambda: theirs.file(audio), lambda: ours.file(audio), repeats)
    seconds = len(samples) / _RATE
    return [_compared("window", *window), _compared(f"file of {seconds:.0f} s", *file)]


def _in_turn(
    theirs: Callable[[], Any], ours: Callable[[], Any], repeats: int
) -> tuple[Any, Any, list[float], list[float]]:
    theirs_ms: list[float] = []
    ours_ms: list[float] = []
    for repeat in range(repeats + 1):
        for call, times in ((theirs, theirs_ms), (ours, ours_ms)):
            begin = time.perf_counter()
            result = call()
            times.append((time.perf_counter() - begin) * 1000)
            if call is theirs:
                expected = result
        if repeat == 0:  # the first pays for what later ones find ready
            theirs_ms.clear()
            ours_ms.clear()
    return expected, result, theirs_ms, ours_ms


def _compared(
    name: str, expected: Any, got: Any, theirs_ms: list[float], ours_ms: list[float]
) -> Comparison:
    rotations, places = got
    turned = exp(expected["motion_axis_angle"][0].reshape(-1, 55, 3).double().numpy())
    apart = log(multiply(rotations.astype(np.float64), inverse(turned)))
    angle = float(np.rad2deg(np.linalg.norm(apart, axis=-1).max()))
    place = 0.0 if places is None else float(np.abs(places - expected["trans"][0].numpy()).max())
    slow, fast = float(np.median(theirs_ms)), float(np.median(ours_ms))
    return Comparison(name, round(slow, 2), round(fast, 2), round(fast / slow, 3), angle, place)


def table(rows: list[Comparison]) -> str:
    """For people."""
    lines = ["                 published      ours   ratio   apart"]
    for row in rows:
        lines.append(
            f"{row.name:15s} {row.theirs_ms:8.1f} ms {row.ours_ms:6.1f} ms  {row.ratio:5.3f}   "
            f"{row.angle_degrees:.4f} degrees, {row.place_m * 1000:.3f} mm"
        )
    return "\n".join(lines)
