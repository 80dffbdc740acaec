"""ONNX export for other programs: `emage-bench export`.

Writes a model's live step as two ONNX files with fixed shapes, a description of every input and
output, and a page that explains the loop around them for Unity or Unreal; compares both files in
onnxruntime with PyTorch. Audio features are not part of the networks.
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
from engine.generate.decoder import SEAM_FRAMES
from engine.generate.sampling import CodeSelection
from engine.generate.schedule import Schedule
from engine.kernels.compiled_decoder import DecoderModule
from engine.kernels.from_bundle import pose_decoder, window_shape
from engine.kernels.graph import GraphSpec, Tensors
from engine.kernels.onnx import open_onnx, write_onnx
from engine.kernels.parity import relative_error
from engine.kernels.window_graph import WindowModule, draw_window, window_graph
from engine.model.fuse import fuse_for_inference
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import BodyPart
from engine.system.atomic import atomic, write_text
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

OPSET: Final = 15
"""The newest version that every release of Unity's Sentis reads."""
TOLERANCE: Final = 1e-3
_DECODED: Final = ("rotations", "face", "contacts", "root_motion", "motion")


class StepNetwork(nn.Module):
    """From a window to latents, logits and arg-max codes `[B, P, n]` of its newest frames."""

    def __init__(self, window: WindowModule, bundle: Bundle) -> None:
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
        "export", help="live step as ONNX files, for inference in Unity or Unreal"
    )
    parser.add_argument("--onnx", type=Path, metavar="DIR", help="folder of the files")
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument("--hop", type=whole(1), metavar="N", help="new frames per step")
    parser.add_argument("--lookahead", type=int, metavar="N", help="frames of future audio")
    parser.add_argument("--opset", type=whole(1), default=OPSET, metavar="N")
    parser.add_argument(
        "--audit", action="store_true", help="check operators against TensorRT's converters"
    )


def export_command(options: argparse.Namespace) -> int:
    """Write, compare and audit; print one line of JSON."""
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


def step_graphs(bundle: Bundle, schedule: Schedule) -> tuple[GraphSpec, GraphSpec]:
    """Graphs of the transformer with code selection, and of the decoders with root motion."""
    shape = window_shape(bundle, schedule)
    flat = window_graph(fuse_for_inference(bundle.gesture), shape)
    assert isinstance(flat.module, WindowModule)
    step = StepNetwork(flat.module, bundle).eval()
    window = GraphSpec("window", step, flat.example, flat.inputs, ("codes", *flat.outputs))
    decoder, newest = pose_decoder(bundle), schedule.algorithmic_frames
    codes = torch.zeros(1, len(BodyPart), decoder.context + 1 + newest, dtype=torch.int64)
    network = DecoderModule(decoder, SEAM_FRAMES + newest).eval()
    return window, GraphSpec("decode", network, (codes,), ("codes",), _DECODED)


def export(
    bundle: Bundle, schedule: Schedule, graphs: Sequence[GraphSpec], folder: Path, opset: int
) -> dict[str, float]:
    """Write the files into `folder`; maximum relative error of each against PyTorch.

    Raises KernelError for a file with a larger error, or without onnxruntime.
    """
    errors = {}
    for graph in graphs:
        say(f"writing {graph.name}.onnx ...")
        path = folder / f"{graph.name}.onnx"
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as part:  # publish only files that match PyTorch
            write_onnx(graph, part, opset)
            errors[graph.name] = check(bundle, schedule, graph, part)
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB, relative error {errors[graph.name]:.1e}")
    described = description(bundle, schedule, graphs, opset, errors)
    write_text(folder / "export.json", json.dumps(described, indent=1) + "\n")
    write_text(folder / "README.md", page(described))
    return errors


def check(bundle: Bundle, schedule: Schedule, graph: GraphSpec, path: Path) -> float:
    """Maximum relative error of the file over two random inputs; KernelError if too large."""
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
            f"{path} has a relative error of {worst:.2g} in onnxruntime, at most {TOLERANCE:g} "
            "expected; report this with the model's bundle.json"
        )
    return worst


def output_error(name: str, expected: Tensor, got: Tensor) -> float:
    """Relative error; of codes the share that differs, of rotations that of their matrices."""
    if name == "codes":
        return float((expected != got).double().mean())
    if name == "rotations":  # a quaternion and its negative are the same rotation
        return relative_error(to_sixd(expected), to_sixd(got))
    return relative_error(expected, got)


def draw(
    bundle: Bundle, schedule: Schedule, graph: GraphSpec, generator: torch.Generator
) -> Tensors:
    """Random inputs of a graph of `step_graphs`."""
    if graph.name == "window":
        return tuple(draw_window(window_shape(bundle, schedule), generator))
    share = torch.rand(graph.example[0].shape, generator=generator, dtype=torch.float64)
    sizes = torch.tensor([bundle.parts[part].codes for part in BodyPart])
    return ((share * sizes[:, None]).long(),)
