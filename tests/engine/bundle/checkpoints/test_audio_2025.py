"""`emage-audio` (2025) loads from its files and matches the reference implementation."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.export.random_checkpoints import write_random_audio_layout
from engine.bundle.checkpoints import audio_2025
from engine.bundle.checkpoints.key_map import AUDIO_2025
from engine.bundle.checkpoints.load import load_model
from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.errors import BundleError
from engine.generate.decoder import PoseDecoder
from engine.generate.sampling import CodeSelection
from engine.generate.schedule import Schedule, published_audio_schedule
from engine.model.fuse import fuse_for_inference
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import MOTION, joint_channels, part_layout
from engine.motion.pose import HandReference
from engine.motion.rotation import angle, exp
from engine.motion.skeleton import PART_JOINTS, BodyPart
from tests.support import reference_model
from tests.support.reference_model import SIZES, write_pointer

SPEAKERS = 3
CLOSE = 1e-3
SLICE = 533  # samples per frame in the reference implementation


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published") / "random"
    write_random_audio_layout(directory, **SIZES, speakers=SPEAKERS)
    return directory


@pytest.fixture
def damaged(layout: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(layout, tmp_path / "damaged"))


def random_inputs(frames: int) -> WindowInputs:
    generator = torch.Generator().manual_seed(1)
    motion = torch.randn(2, frames, MOTION.width, generator=generator)
    return WindowInputs(
        motion=motion,
        mask=(motion > 0.3).float(),  # 1 = hidden
        audio=torch.randn(2, frames * SLICE, 1, generator=generator),
        words=torch.zeros(2, frames, dtype=torch.int64),
        speaker=torch.tensor([2, 0]),
    )


def errors(outputs: WindowOutputs, latents: list[Tensor], scores: list[Tensor]) -> list[float]:
    pairs = zip((*outputs.latents, *outputs.logits), (*latents, *scores), strict=True)
    return [float((ours - theirs).abs().max()) for ours, theirs in pairs]


def expected_window(layout: Path, inputs: WindowInputs) -> reference_model.Windows:
    weights = load_file(layout / "model.safetensors")
    given = (inputs.audio, inputs.speaker, inputs.motion, inputs.mask)
    return reference_model.audio_window(weights, *given)


# -- random weights ----------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [9, 12, 20, SIZES["window"]])
def test_a_window_matches_the_reference(layout: Path, frames: int) -> None:
    inputs = random_inputs(frames)
    outputs = load_model(layout).gesture(inputs)
    latents, scores = expected_window(layout, inputs)
    assert min(float(x.std(1).mean()) for x in latents) > 0.02  # not degenerate
    assert max(errors(outputs, latents, scores)) < CLOSE
    with torch.inference_mode():
        assert (
            max(errors(fuse_for_inference(load_model(layout).gesture)(inputs), latents, scores))
            < CLOSE
        )


def test_the_body_attends_to_one_more_step_of_audio(layout: Path) -> None:
    """Encoder steps beyond a short window are cropped for the face only."""
    speech = load_model(layout).gesture.speech
    face, body = speech(torch.randn(1, 12 * SLICE, 1), torch.zeros(1, 12, dtype=torch.int64))
    assert (face.shape[1], body.shape[1]) == (12, 13)


@pytest.mark.parametrize("part", BodyPart)
def test_autoencoders_match_the_reference(layout: Path, part: BodyPart) -> None:
    vae = load_model(layout).parts[part]
    weights = load_file(layout / "emage_vq" / part / "model.safetensors")
    generator = torch.Generator().manual_seed(2)
    motion = torch.randn(2, 20, part_layout(part, 100).width, generator=generator)
    codes = reference_model.nearest(
        weights, reference_model.encode(weights, "encoder.main", motion)
    )
    assert len(codes.unique()) > 3
    assert torch.equal(vae.nearest(vae.encode(motion)), codes)
    vectors = weights["quantizer.embedding.weight"][codes]
    decoded = reference_model.decode(weights, "decoder.main", vectors)
    assert float((vae.decode_codes(codes) - decoded).abs().max()) < CLOSE


def test_root_motion_matches_the_reference(layout: Path) -> None:
    weights = load_file(layout / "emage_vq" / "global" / "model.safetensors")
    lower = torch.randn(1, 30, 61, generator=torch.Generator().manual_seed(3))
    encoded = reference_model.encode(weights, "encoder.main", lower)
    theirs = reference_model.decode(weights, "decoder.main", encoded)
    assert float((load_model(layout).root_model(lower) - theirs).abs().max()) < CLOSE


SWAPS = [
    ("body.mlps.0.", "body.mlps.1."),
    ("body.refiners.1.out.", "body.refiners.2.out."),
    ("classifiers.2.", "classifiers.3."),
    ("face_speaker.", "body_speaker."),
    ("speech.face.audio.", "speech.body.audio."),
    ("face_hint.", "body_hint."),
]


def swapped(monkeypatch: pytest.MonkeyPatch, first: str, second: str) -> None:
    prefixes = dict(AUDIO_2025.prefixes)
    prefixes[first], prefixes[second] = prefixes[second], prefixes[first]
    monkeypatch.setattr(audio_2025, "AUDIO_2025", replace(AUDIO_2025, prefixes=prefixes))


@pytest.mark.parametrize(("first", "second"), SWAPS)
def test_swapped_names_do_not_match_the_reference(
    layout: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    swapped(monkeypatch, first, second)
    inputs = random_inputs(SIZES["window"])
    outputs = load_model(layout).gesture(inputs)
    assert max(errors(outputs, *expected_window(layout, inputs))) > 30 * CLOSE


def test_the_configuration_is_that_of_the_reference(layout: Path) -> None:
    config = load_model(layout).config
    assert config.name == "random"
    assert config.front_end is FrontEnd.WAVE
    assert config.file_schedule == published_audio_schedule(SIZES["window"], 4)
    assert config.schedule == Schedule(SIZES["window"], SIZES["window"] - 8, 8)
    assert config.speakers == ("0", "1", "2")
    assert config.hand_reference is HandReference.SMPLX_MEAN
    assert config.face == "flame100"
    assert config.root_model.masked_fields == ()
    assert not config.root_model.orthonormalize
    assert not config.mute_unvoiced
    assert config.sampling.temperature == 0.0
    assert config.gesture.period == SIZES["window"]
    latent = [
        part
        for part, choice in config.code_selection.items()
        if choice is CodeSelection.NEAREST_LATENT
    ]
    assert latent == [BodyPart.FACE]
    assert "non-commercial" in config.provenance.data[0]


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: v for key, v in config.items() if v is not None}))


def test_code_selection_follows_the_configuration(damaged: Path) -> None:
    edit(damaged, cf=1, cu=0)
    choices = load_model(damaged).config.code_selection
    assert choices[BodyPart.FACE] is CodeSelection.ARGMAX_OR_SAMPLE
    assert choices[BodyPart.UPPER] is CodeSelection.NEAREST_LATENT


def test_half_precision_weights_load(damaged: Path) -> None:
    path = damaged / "model.safetensors"
    tensors = load_file(path)
    save_file({n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}, path)
    model = load_model(damaged).gesture
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


# -- damaged files -----------------------------------------------------------------------------


def change_tensor(path: str, name: str, change: Callable[[Tensor], Tensor]) -> Callable[..., None]:
    def damage(directory: Path) -> None:
        tensors = load_file(directory / path)
        tensors[name] = change(tensors[name])
        save_file(tensors, directory / path)

    return damage


def truncate(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def replace_weights(directory: Path) -> None:
    save_file({"wte.weight": torch.ones(3, 3)}, directory / "model.safetensors")


def with_nan(tensor: Tensor) -> Tensor:
    tensor.view(-1)[0] = torch.nan
    return tensor


LOWER = "emage_vq/lower"
POINTER = r"model\.safetensors is a pointer of Git LFS.*git lfs pull"
DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (truncate, "cut short"),
    (lambda d: write_pointer(d / "model.safetensors"), POINTER),
    (lambda d: write_pointer(d / LOWER / "model.safetensors"), f"lower.*{POINTER}"),
    (lambda d: write_pointer(d / "config.json"), r"config\.json is a pointer of Git LFS"),
    (replace_weights, r"audio_encoder_face\S+ is missing; expected shape \[2, 1, 15\]"),
    (change_tensor("model.safetensors", "moton_proj.weight", with_nan), "moton_proj.weight .* NaN"),
    (
        change_tensor(f"{LOWER}/model.safetensors", "encoder.main.3.weight", lambda t: t[:-1]),
        r"lower.*encoder\.main\.3\.weight has shape \[23, 24, 3\]; expected shape \[24, 24, 3\]",
    ),
    (
        change_tensor("model.safetensors", "position_embeddings.pe", lambda t: t.roll(1, 1)),
        "position_embeddings.pe",
    ),
    (lambda d: edit(d, hidden_size=24), r"has shape \[16, 12\]; expected shape \[24, 12\]"),
    (lambda d: edit(d, hidden_size=None), "hidden_size"),
    (lambda d: edit(d, hidden_size="16"), "hidden_size: expected int"),
    (lambda d: edit(d, hidden_size=18), "width must be a multiple of heads"),
    (lambda d: edit(d, pose_fps=15), "pose_fps 30, got 15"),
    (lambda d: edit(d, pose_length=4), "a schedule needs .* got hop 8, seed -4"),
    (lambda d: edit(d / LOWER, vae_layer=3), r"lower.*has shape \[24, 24, 3\]; .* 8 unexpected"),
    (lambda d: shutil.rmtree(d / LOWER), r"lower/config\.json is missing"),
    (lambda d: (d / LOWER / "model.safetensors").unlink(), r"lower/model\.safetensors is missing"),
    (lambda d: (d / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    (lambda d: (d / "config.json").write_text("{"), "cannot be read as JSON"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_every_damage_is_named(
    damaged: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(damaged)
    with pytest.raises(BundleError, match=message):
        load_model(damaged)


# -- published weights ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(shared_dir: Path) -> dict[str, Tensor]:
    arrays = np.load(shared_dir / "parity" / "audio_2025.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays}


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> Bundle:
    return load_model(shared_dir / "parity" / "emage_audio")


def window_errors(
    bundle: Bundle, reference: dict[str, Tensor], *, fused: bool = False
) -> list[float]:
    """fused: of the model after inference-time fusion, as in streams."""
    motion = reference["window_motion"]
    inputs = WindowInputs(
        motion=motion,
        mask=reference["window_mask"],
        audio=reference["audio"][:, : motion.shape[1] * SLICE, None],
        words=torch.zeros(motion.shape[:2], dtype=torch.int64),
        speaker=reference["speaker_id"][:, 0],
    )
    with torch.inference_mode():
        outputs = (fuse_for_inference(bundle.gesture) if fused else bundle.gesture)(inputs)
    return errors(outputs, *(expected(reference, kind) for kind in ("rec", "cls")))


def expected(reference: dict[str, Tensor], kind: str) -> list[Tensor]:
    return [reference[f"window_{kind}_{part}"] for part in BodyPart]


@pytest.mark.reference
@pytest.mark.parametrize("fused", [False, True])
def test_the_reference_window(published: Bundle, reference: dict[str, Tensor], fused: bool) -> None:
    assert max(window_errors(published, reference, fused=fused)) < CLOSE


@pytest.mark.reference
@pytest.mark.parametrize(("first", "second"), SWAPS)
def test_the_reference_window_with_swapped_names(
    shared_dir: Path,
    reference: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
) -> None:
    swapped(monkeypatch, first, second)
    bundle = load_model(shared_dir / "parity" / "emage_audio")
    assert max(window_errors(bundle, reference)) > 30 * CLOSE


@pytest.mark.reference
@pytest.mark.parametrize("part", BodyPart)
def test_the_reference_codes(
    published: Bundle, reference: dict[str, Tensor], part: BodyPart
) -> None:
    sixd = reference["index_in_rot6d"]
    layout = part_layout(part, 100)
    fields = {f.name: torch.zeros(*sixd.shape[:2], f.width) for f in layout.fields}
    fields["rot6d"] = sixd[..., joint_channels(PART_JOINTS[part])]
    if part is BodyPart.FACE:
        fields["face"] = reference["index_in_expression"]
    vae = published.parts[part]
    codes = vae.nearest(vae.encode(layout.pack(fields)))
    assert torch.equal(codes, reference[f"index_{part}"])


@pytest.mark.reference
def test_the_reference_decoding(published: Bundle, reference: dict[str, Tensor]) -> None:
    codes = []
    for part in BodyPart:
        if published.config.code_selection[part] is CodeSelection.NEAREST_LATENT:
            codes.append(published.parts[part].nearest(reference[f"window_rec_{part}"]))
        else:
            codes.append(reference[f"window_cls_{part}"].argmax(-1))
    decoder = PoseDecoder(
        published.parts,
        published.root_model,
        face_width=100,
        masked_fields=published.config.root_model.masked_fields,
        orthonormalize=published.config.root_model.orthonormalize,
    )
    frames = codes[0].shape[1]
    decoded = decoder.decode(torch.stack(codes, 1), frames)
    assert close(decoded.face, reference["decode_expression"])
    assert close(decoded.motion, reference["decode_all_motion4inference"])
    turned = exp(reference["decode_motion_axis_angle"].reshape(1, frames, -1, 3))
    assert float(angle(decoded.rotations, turned).max()) < CLOSE
    steps = decoded.root_motion[:, :-1, 0::2].cumsum(1) / 30
    ground = torch.cat((torch.zeros(1, 1, 2), steps), 1) + torch.tensor([0.1, -0.2])
    place = torch.cat((ground[..., :1], decoded.root_motion[..., 1:2], ground[..., 1:]), -1)
    assert close(place, reference["decode_trans"])


def close(ours: Tensor, theirs: Tensor) -> bool:
    return float((ours - theirs).abs().max()) < CLOSE
