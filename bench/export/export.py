"""Networks for other programs: `emage-bench export`.

Writes a model's live step as two ONNX files with all shapes fixed, a description of every input
and output, and a page that says how a program in Unity or Unreal goes round with them; runs both
files in onnxruntime against PyTorch. The features of the sound are not networks and not in them.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from bench.export.page import description, page
from bench.export.tensorrt_converters import audit
from engine.bundle.io import DEFAULT_BUNDLE, Bundle
from engine.errors import ConfigError, KernelError
from engine.generate.decoder import OVERLAP
from engine.generate.sampling import CodeSelection
from engine.generate.schedule import Schedule
from engine.kernels.compiled_decoder import DecodeNetwork
from engine.kernels.from_bundle import pose_decoder, window_shape
from engine.kernels.graph import Graph, Tensors
from engine.kernels.onnx import open_onnx, write_onnx
from engine.kernels.parity import relative_error
from engine.kernels.window_graph import FlatWindow, draw_window, window_graph
from engine.model.fuse import lean
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import BodyPart
from engine.system.atomic import atomic, write_text
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

OPSET: Final = 15
"""The newest that every release of Unity's Sentis reads; others read newer ones too."""
TOLERANCE: Final = 1e-3
_DECODED: Final = ("rotations", "face", "contacts", "travel", "motion")


class StepNetwork(nn.Module):
    """A window in; latents, scores and the likeliest codes `[B, P, n]` of its newest frames out."""

    def __init__(self, window: FlatWindow, bundle: Bundle) -> None:
        super().__init__()
        self.window = window
        self._vaes = [bundle.parts[part] for part in BodyPart]
        self.registered = nn.ModuleList(self._vaes)
        self._choices = [
            bundle.config.code_selection.get(part, CodeSelection.ARGMAX_OR_SAMPLE)
            for part in BodyPart
        ]

    def forward(
        self, motion: Tensor, mask: Tensor, audio: Tensor, words: Tensor, speaker: Tensor
    ) -> Tensors:
        outputs = self.window(motion, mask, audio, words, speaker)
        latents, logits = outputs[: len(self._vaes)], outputs[len(self._vaes) :]
        codes = []
        for p, vae in enumerate(self._vaes):
            if self._choices[p] is CodeSelection.NEAREST_LATENT:
                codes.append(vae.nearest(latents[p]))
            else:
                codes.append(vae.codes_from_classes(logits[p].argmax(-1), latents[p]))
        return (torch.stack(codes, 1), *outputs)


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "export", help="the live step as ONNX files, for inference inside Unity or Unreal"
    )
    parser.add_argument("--onnx", type=Path, metavar="DIR", help="write the files there")
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument("--hop", type=whole(1), metavar="N", help="new frames per step")
    parser.add_argument("--lookahead", type=int, metavar="N", help="frames of future audio")
    parser.add_argument("--opset", type=whole(1), default=OPSET, metavar="N")
    parser.add_argument(
        "--audit", action="store_true", help="every operator against TensorRT's converters"
    )


def export_command(options: argparse.Namespace) -> int:
    """Write, check and audit; print one line of JSON."""
    if options.onnx is None and not options.audit:
        raise ConfigError("nothing to do: give --onnx DIR, --audit, or both")
    bundle = load_bundle_for_cli(options.model)
    schedule = bundle.config.schedule.with_hop(options.hop, options.lookahead)
    graphs = step_graphs(bundle, schedule)
    report: dict[str, Any] = {"bundle": bundle.config.name}
    if options.onnx is not None:
        report["errors"] = export(bundle, schedule, graphs, options.onnx, options.opset)
    if options.audit:
        audits = [audit(graph) for graph in graphs]
        for found in audits:
            say(found.line)
        report["audit"] = [asdict(found) for found in audits]
    print(json.dumps(report))
    return 0


def step_graphs(bundle: Bundle, schedule: Schedule) -> tuple[Graph, Graph]:
    """The transformer with the choice of codes, and the decoders with the global motion."""
    shape = window_shape(bundle, schedule)
    flat = window_graph(lean(bundle.gesture), shape)
    assert isinstance(flat.module, FlatWindow)
    step = StepNetwork(flat.module, bundle).eval()
    window = Graph("window", step, flat.example, flat.inputs, ("codes", *flat.outputs))
    decoder, newest = pose_decoder(bundle), schedule.algorithmic_frames
    codes = torch.zeros(1, len(BodyPart), decoder.context + 1 + newest, dtype=torch.int64)
    network = DecodeNetwork(decoder, OVERLAP + newest).eval()
    return window, Graph("decode", network, (codes,), ("codes",), _DECODED)


def export(
    bundle: Bundle, schedule: Schedule, graphs: Sequence[Graph], folder: Path, opset: int
) -> dict[str, float]:
    """Write the files into `folder`; how far each is from PyTorch in onnxruntime, at worst.

    Raises KernelError for a file that is too far, or that cannot be run for want of onnxruntime.
    """
    errors = {}
    for graph in graphs:
        say(f"writing {graph.name}.onnx ...")
        path = folder / f"{graph.name}.onnx"
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as part:  # a file that does not match PyTorch must not appear
            write_onnx(graph, part, opset)
            errors[graph.name] = check(bundle, schedule, graph, part)
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {errors[graph.name]:.1e} off PyTorch")
    told = description(bundle, schedule, graphs, opset, errors)
    write_text(folder / "export.json", json.dumps(told, indent=1) + "\n")
    write_text(folder / "README.md", page(told))
    return errors


def check(bundle: Bundle, schedule: Schedule, graph: Graph, path: Path) -> float:
    """The worst relative error of the file over two random inputs; KernelError if too large."""
    run = open_onnx(path, graph, threads=1)
    generator = torch.Generator().manual_seed(11)
    worst = 0.0
    for _ in range(2):
        inputs = draw(bundle, schedule, graph, generator)
        with torch.no_grad():
            expected = graph.module(*inputs)
        pairs = zip(graph.outputs, expected, run(inputs), strict=True)
        worst = max(worst, *(output_error(*pair) for pair in pairs))
    if worst > TOLERANCE:
        raise KernelError(
            f"{path} gives results {worst:.2g} off PyTorch in onnxruntime, at most {TOLERANCE:g} "
            "expected; report this with the model's bundle.json"
        )
    return worst


def output_error(name: str, expected: Tensor, got: Tensor) -> float:
    """The relative error; of codes the share that differs, of rotations that of their matrices."""
    if name == "codes":
        return float((expected != got).double().mean())
    if name == "rotations":  # a quaternion and its negative are one rotation
        return relative_error(to_sixd(expected), to_sixd(got))
    return relative_error(expected, got)


def draw(bundle: Bundle, schedule: Schedule, graph: Graph, generator: torch.Generator) -> Tensors:
    """Random inputs of a graph of `step_graphs`."""
    if graph.name == "window":
        return tuple(draw_window(window_shape(bundle, schedule), generator))
    share = torch.rand(graph.example[0].shape, generator=generator, dtype=torch.float64)
    sizes = torch.tensor([bundle.parts[part].codes for part in BodyPart])
    return ((share * sizes[:, None]).long(),)
