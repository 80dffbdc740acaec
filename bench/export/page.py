"""Description of exported networks: JSON for programs, a page for people."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.bundle.io import Bundle
from engine.generate.decoder import SEAM_FRAMES
from engine.generate.schedule import Schedule
from engine.kernels.graph import GraphSpec
from engine.motion.channels import MOTION
from engine.motion.skeleton import SMPLX_55, BodyPart

_MEANINGS: Final = {
    "motion": "known poses: 55 x 6D rotations (first two rows of each matrix), then translation "
    "and contacts, as in output `motion` of decode; ignored where mask is 1",
    "mask": "1: hidden, 0: visible; the frames of `seed` are visible, all others hidden",
    "audio": "audio features or samples, oldest first, see front_end",
    "words": "index of the word spoken in each frame, 0 for none",
    "speaker": "index of the speaker",
    "latents": "regressed latents of a part",
    "logits": "scores over a part's codebook; sample from softmax(logits / temperature)",
    "codes": "one code per part and frame, parts in the order of `parts`",
    "rotations": "unit quaternions wxyz, local, relative to the parent joint",
    "face": "face coefficients, see face",
    "contacts": "0..1: left ankle, right ankle, left foot, right foot on the ground",
    "root_motion": "x velocity in m/s, height of the pelvis in m, z velocity in m/s",
}


def description(
    bundle: Bundle,
    schedule: Schedule,
    graphs: Sequence[GraphSpec],
    opset: int,
    errors: Mapping[str, float],
) -> dict[str, Any]:
    """All constants and shapes that a program needs, as JSON."""
    config = bundle.config
    return {
        "bundle": config.name,
        "licence": config.provenance.licence,
        "opset": opset,
        "files": {f"{graph.name}.onnx": _ports(graph) for graph in graphs},
        "relative_error_in_onnxruntime": dict(errors),
        "frame_rate": config.clock.frame_rate,
        "sample_rate": config.clock.sample_rate,
        "front_end": str(config.front_end),
        "schedule": {
            "window": schedule.window,
            "seed": schedule.seed,
            "hop": schedule.hop,
            "lookahead": schedule.lookahead,
            "first_new": schedule.first_new,
            "overlap": SEAM_FRAMES,
        },
        "parts": [str(part) for part in BodyPart],
        "codebooks": [bundle.parts[part].codes for part in BodyPart],
        "rest_codes": bundle.rest_codes.tolist(),
        "temperature": {str(p): config.sampling.of(p).temperature for p in BodyPart},
        "vocabulary": len(config.vocabulary),
        "speakers": list(config.speakers),
        "face": config.face,
        "face_names": list(config.pose_format.face.coefficients),
        "joints": list(SMPLX_55.joint_names),
        "parents": list(SMPLX_55.parents),
        "motion_channels": MOTION.width,
        "coordinates": "right-handed, +Y up, the figure faces +Z, metres, seconds",
    }


def _ports(graph: GraphSpec) -> dict[str, Any]:
    found = graph.module(*graph.example)
    inputs = zip(graph.inputs, graph.example, strict=True)
    outputs = zip(graph.outputs, found, strict=True)
    return {
        "inputs": [_port(name, tensor) for name, tensor in inputs],
        "outputs": [_port(name, tensor) for name, tensor in outputs],
    }


def _port(name: str, tensor: Any) -> dict[str, Any]:
    meaning = _MEANINGS.get(name) or _MEANINGS[name.split("_")[0]]  # latents_face: latents
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"name": name, "shape": list(tensor.shape), "type": kind, "meaning": meaning}


def page(described: Mapping[str, Any]) -> str:
    """README.md of the folder."""
    lines = [f"# {described['bundle']} as ONNX (opset {described['opset']})", "", _INTRODUCTION, ""]
    for name, ports in described["files"].items():
        lines += [f"## {name}", "", "| | name | shape | type | meaning |", "|---|---|---|---|---|"]
        for side in ("inputs", "outputs"):
            for port in ports[side]:
                shape = " x ".join(map(str, port["shape"]))
                cells = (side[:-1], f"`{port['name']}`", shape, port["type"], port["meaning"])
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join([*lines, _loop(described), ""])


_INTRODUCTION: Final = """One live step of the gesture model as two networks of fixed shapes.
`export.json` beside this page has the same for programs, with joints, parents, face names and
codebooks. Unused inputs of a model are missing from its file.

- **Unity**: put both files into Assets; Sentis (Inference Engine) makes a ModelAsset of each. Its
  integers have 32 bits: give words, speaker and codes as int.
- **Unreal**: import them as NNE model data; run by NNERuntimeORTCpu or a GPU runtime.

Every export is compared with PyTorch in onnxruntime. There is no report yet of a run inside either
game engine."""


def _loop(described: Mapping[str, Any]) -> str:
    plan, rate = described["schedule"], described["frame_rate"]
    decode = described["files"]["decode.onnx"]
    codes = decode["inputs"][0]["shape"][2]
    new = plan["hop"] + plan["lookahead"]
    begin = plan["first_new"] - plan["seed"]
    kind = "features" if described["front_end"] == "features" else "samples"
    return f"""## Loop

State, oldest first: a buffer of {codes - new} frames of codes, initialised with `rest_codes`; a
buffer of {plan["seed"]} frames of motion, initialised with the last frame of `motion` that `decode`
returns for the rest codes; a buffer of the {kind} of {plan["window"]} frames, initialised with
those of silence. Every {plan["hop"]} frames, at {rate} frames per second:

1. Append the new {kind} to the audio buffer. Features are computed by
   `engine/audio/features.py` of the project; they are not a network, and have to be ported to the
   language of the game engine, or sent by a process that runs the project.
2. Run `window`: motion is zero except frames {begin} to {plan["first_new"] - 1}, which are the
   motion buffer and have mask 0; mask is 1 everywhere else.
3. Use `codes`, or sample from `logits`; append them to the code buffer and run `decode`.
4. The first {plan["overlap"]} frames of the result were emitted before (blend the difference
   between them and the emitted ones over about 300 ms), the next {plan["hop"]} are new. Keep the
   first {plan["hop"]} of the new codes, and `motion` of the new frames, in the buffers.
5. Position: add x and z velocity / {rate} each frame; the height is absolute.

Unity is left-handed: negate x of positions, and y and z of the quaternions. Unreal is left-handed
with Z up and centimetres.
"""
