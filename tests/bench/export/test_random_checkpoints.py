"""Random checkpoints have the published names and shapes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.export.random_checkpoints import (
    GLOBAL,
    PARTS,
    TEXT_FILES,
    Shapes,
    Sizes,
    audio_shapes,
    autoencoder_shapes,
    drawn,
    text_shapes,
    write_random_audio_layout,
)

SMALL = Sizes(hidden=48, audio_f=32, motion_f=32, codebook=32, speakers=4)


def shapes_of(tensors: dict[str, torch.Tensor]) -> Shapes:
    return {name.removeprefix("module."): tuple(t.shape) for name, t in tensors.items()}


def test_the_published_size() -> None:
    """138.9 M parameters, 11.8 M of them unused templates, as published."""
    shapes = audio_shapes(Sizes())
    buffers = ("running_mean", "running_var", "num_batches_tracked", ".pe")
    counts = {
        name: torch.Size(shape).numel()
        for name, shape in shapes.items()
        if not name.endswith(buffers)
    }
    templates = ("transformer_en_layer.", "audio_motion_cross_attn_layer.")
    unused = sum(count for name, count in counts.items() if name.startswith(templates))
    assert round(sum(counts.values()) / 1e6, 1) == 138.9
    assert round(unused / 1e6, 1) == 11.8


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    sizes = {"hidden": 8, "audio_f": 8, "motion_f": 8, "codebook": 8}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_audio_layout(tmp_path / name, seed=seed, **sizes)
    files = [load_file(tmp_path / n / "model.safetensors")["moton_proj.weight"] for n in "abc"]
    assert torch.equal(files[0], files[1])
    assert not torch.equal(files[0], files[2])


def test_values_have_the_ranges_of_their_layers() -> None:
    values = drawn(audio_shapes(SMALL), SMALL, torch.Generator().manual_seed(0))
    for name, value in values.items():
        assert name.endswith("num_batches_tracked") or bool(value.isfinite().all())
        assert not name.endswith("running_var") or float(value.min()) > 0
    table = values["position_embeddings.pe"][0]
    assert torch.equal(table[:64], table[64:])
    assert table[0].tolist() == [0.0, 1.0] * 24


@pytest.mark.reference
def test_names_and_shapes_are_those_of_the_reference(shared_dir: Path) -> None:
    audio = shared_dir / "parity" / "emage_audio"
    assert shapes_of(load_file(audio / "model.safetensors")) == audio_shapes(SMALL)
    text = shared_dir / "parity" / "emage_2024"
    index = json.loads((text / "meta.json").read_text())["index2word"]
    sizes = Sizes(48, 32, 32, 32, speakers=25, words=tuple(index.values())[4:])
    model = torch.load(text / "emage_audio_text.bin", weights_only=True)["model_state"]
    assert shapes_of(model) == text_shapes(sizes)
    for name, (channels, layers) in {**PARTS, "global": GLOBAL}.items():
        codes = None if name == "global" else 32
        wanted = autoencoder_shapes(channels, 32, layers, codes)
        assert shapes_of(load_file(audio / "emage_vq" / name / "model.safetensors")) == wanted
        state = torch.load(text / TEXT_FILES[name], weights_only=True)["model_state"]
        assert shapes_of(state) == wanted
