"""Our engine against the published EMAGE program: same weights, same sound, one run.

Takes a checkout of the published repository (its `models/emage_audio` needs the package
transformers) and a checkpoint in the layout of 2025; both programs are timed in turn, so that
whatever else the machine does falls on both. Live steps of kernels may stand beside them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.export.random_checkpoints import write_random_audio_layout
from bench.perf.kernels import as_live, in_turn
from bench.perf.latency import read_speech
from engine.audio import SAMPLE_RATE
from engine.bundle.io import DEMO_SOUND, Bundle
from engine.errors import ConfigError
from engine.generate.sampling import CodeSelection
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import pose_decoder
from engine.model.types import WindowInputs
from engine.motion.channels import MOTION
from engine.motion.pose import concatenate
from engine.motion.rotation import exp, inverse, log, multiply
from engine.motion.skeleton import BodyPart
from engine.stream.select_step import select_step
from engine.stream.stream import GestureStream
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

_PUBLISHED = "published"


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


@dataclass(frozen=True)
class LiveStep:
    """Milliseconds of one call; ratio: of its median to that of the published window, decoded."""

    name: str
    p50_ms: float
    p95_ms: float
    ratio: float


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "reference", help="our engine and the published program: same weights, same sound, one run"
    )
    parser.add_argument("checkout", type=Path, metavar="DIR", help="the published repository")
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="a checkpoint of 2025 (default: random, whole)"
    )
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S")
    parser.add_argument("--repeats", type=whole(1), default=5, metavar="N")
    parser.add_argument(
        "--kernel", nargs="+", default=[], metavar="NAME", help="also: a live step by each of these"
    )
    parser.add_argument(
        "--hop", type=whole(1), default=2, metavar="N", help="frames of a live step"
    )


def reference_command(options: argparse.Namespace) -> int:
    """Print the tables and one line of JSON."""
    sound = read_speech(options.wav, options.seconds)
    with tempfile.TemporaryDirectory() as scratch:
        weights = options.weights or Path(scratch) / "random"
        if options.weights is None:
            write_random_audio_layout(weights)
        begin = time.perf_counter()
        bundle = load_bundle_for_cli(weights)
        load_s = time.perf_counter() - begin
        theirs = Published(options.checkout, weights)
        rows = compare(theirs, bundle, sound, options.repeats)
        steps = []
        if options.kernel:
            calls = {
                _PUBLISHED: _published_window(theirs, bundle, sound),
                **live_calls(bundle, options.kernel, options.hop, options.repeats, options.wav),
            }
            steps = step_rows(in_turn(calls, options.repeats))
    print(table(rows))
    if steps:
        print(step_table(steps))
    listed = {"rows": [asdict(row) for row in rows], "steps": [asdict(step) for step in steps]}
    print(json.dumps({"load_s": round(load_s, 2), "threads": torch.get_num_threads(), **listed}))
    return 0


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

    @torch.no_grad()
    def file_with_codes(self, audio: Tensor, speaker: int) -> tuple[dict[str, Tensor], Tensor]:
        """A whole file of one of the speakers, and its codes `[4, T]`."""
        out = self._model.inference(audio, torch.tensor([[speaker]]), self._vq)
        codes = []
        for part in ("face", "upper", "hands", "lower"):
            if getattr(self._model.cfg, f"c{part[0]}") > 0:
                codes.append(out[f"cls_{part}"][0].argmax(-1))
            else:
                quantizer = getattr(self._vq, f"vq_model_{part}").quantizer
                codes.append(quantizer.map2index(out[f"rec_{part}"])[0])
        return self._decoded(out), torch.stack(codes)

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
            "pip install 'transformers<5' omegaconf"
        ) from error


class Ours:
    """The same steps with our engine."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._kernel = EagerKernel(bundle.gesture)
        self._decoder = pose_decoder(bundle)
        # Made once, as the published model is: making it lean takes as long as a window.
        self._stream = GestureStream(bundle, schedule=bundle.config.file_schedule)

    def window(self, audio: Tensor, motion: Tensor, mask: Tensor) -> np.ndarray:
        """One forward pass over a window and its decoding; rotations `[T, J, 4]`."""
        frames = motion.shape[1]
        words = torch.zeros(1, frames, dtype=torch.int64)
        speaker = torch.zeros(1, dtype=torch.int64)
        out = self._kernel(WindowInputs(motion, mask, audio[..., None], words, speaker))
        codes = []
        for p, part in enumerate(BodyPart):
            latent = self._bundle.config.code_selection.get(part) is CodeSelection.NEAREST_LATENT
            module = self._bundle.parts[part]
            codes.append(module.nearest(out.latents[p]) if latent else out.logits[p].argmax(-1))
        return self._decoder.decode(torch.stack(codes, 1), frames).rotations[0].numpy()

    def file(self, audio: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """A whole file: rotations `[T, J, 4]`, positions `[T, 3]`."""
        self._stream.reset()
        self._stream.feed_audio(audio[0].numpy())
        poses = concatenate(self._stream.flush())
        return poses.rotations, poses.translation


def compare(
    theirs: Published, bundle: Bundle, samples: np.ndarray, repeats: int
) -> list[Comparison]:
    """Time and compare one window and the whole of `samples [S]`, `repeats` times in turn."""
    ours = Ours(bundle)
    shown = first_window(bundle, samples)
    window = _in_turn(lambda: theirs.window(*shown), lambda: (ours.window(*shown), None), repeats)
    audio = _batch_of_one(samples)
    file = _in_turn(lambda: theirs.file(audio), lambda: ours.file(audio), repeats)
    seconds = len(samples) / SAMPLE_RATE
    return [_compared("window", *window), _compared(f"file of {seconds:.0f} s", *file)]


def first_window(bundle: Bundle, samples: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Sound, motion and mask of a file's first window, as the published program begins it.

    ConfigError where there is less sound than that.
    """
    schedule = bundle.config.file_schedule
    frames, needed = schedule.window, bundle.config.clock.time_s(schedule.window)
    if len(samples) < needed * SAMPLE_RATE:
        raise ConfigError(
            f"a window is {needed:.2f} s of sound, got {len(samples) / SAMPLE_RATE:.2f} s; "
            "give more --seconds or a longer --wav"
        )
    motion = torch.zeros(1, frames, MOTION.width)
    MOTION.unpack(motion)["rot6d"][:] = torch.tensor([1.0, 0, 0, 0, 1.0, 0]).repeat(55)
    mask = torch.ones_like(motion)
    mask[:, : schedule.seed] = 0.0
    cut = _batch_of_one(samples)[:, : frames * (SAMPLE_RATE // bundle.config.clock.frame_rate)]
    return cut, motion, mask


def _batch_of_one(samples: np.ndarray) -> Tensor:
    return torch.from_numpy(samples[None].astype(np.float32))


def _published_window(
    theirs: Published, bundle: Bundle, samples: np.ndarray
) -> Callable[[], object]:
    shown = first_window(bundle, samples)
    return lambda: theirs.window(*shown)


def live_calls(
    bundle: Bundle, kernels: Sequence[str], hop: int, repeats: int, sound: Path = DEMO_SOUND
) -> dict[str, Callable[[], object]]:
    """The next hop of a live stream by each of `kernels`, with sound for `repeats` calls in turn.

    A step is all that a stream does for a hop: features, kernel, choice of codes, decoding.
    """
    schedule = bundle.config.schedule.with_hop(hop, None)
    hops = 2 * (repeats + 20)
    samples = read_speech(sound, hops * hop / bundle.config.clock.frame_rate + 1)
    calls: dict[str, Callable[[], object]] = {}
    threads = torch.get_num_threads()
    for name in kernels:
        step = select_step(name, bundle, schedule, log=say)
        stream = GestureStream(bundle, step=step, schedule=schedule, threads=threads)
        stream.feed_audio(samples)
        calls[step.name] = as_live(step.name, stream.next_chunk)
    return calls


def step_rows(times: Mapping[str, Sequence[float]]) -> list[LiveStep]:
    """One row a program, the published one among `times` (milliseconds by name)."""
    base = float(np.median(times[_PUBLISHED]))
    rows = []
    for name, found in times.items():
        p50, p95 = (float(value) for value in np.percentile(found, [50, 95]))
        rows.append(LiveStep(name, round(p50, 2), round(p95, 2), round(p50 / base, 4)))
    return rows


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


def step_table(steps: Sequence[LiveStep]) -> str:
    """For people."""
    lines = ["live step             p50       p95   of the published window, decoded"]
    for step in steps:
        lines.append(
            f"{step.name:15s} {step.p50_ms:7.1f} ms {step.p95_ms:6.1f} ms   {step.ratio:5.3f} "
            f"(1 / {1 / step.ratio:.1f})"
        )
    return "\n".join(lines)
