"""Random checkpoints in the published layouts of EMAGE, of any size.

For measurements at full size without the published weights, and for tests. Has its own list of
the published names and shapes, independent of the engine's tables, so that each verifies the other.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

PARTS: Final = {"face": (106, 2), "upper": (78, 2), "hands": (180, 2), "lower": (61, 4)}
"""Channels of a part's vector, and layers of its VQ-VAE."""
GLOBAL: Final = (61, 4)
TEXT_FILES: Final = {
    "face": "face_vertex_1layer_790.bin",
    "upper": "upper_vertex_1layer_710.bin",
    "hands": "hands_vertex_1layer_710.bin",
    "lower": "lower_foot_600.bin",
    "global": "last_1700_foot.bin",
}
BODY: Final = ("upper", "hands", "lower")
_TABLES: Final = (
    *("mask_embedding", "quantizer.embedding", "speaker_embedding", "spearker_encoder"),
    "text_pre_encoder",
)
_GAINS: Final = {"in_proj": 2.0, "out_proj.": 0.3, "linear2": 0.3}  # varied, stable outputs
_MOTION: Final = 337
_WORD_WIDTH: Final = 300
_SPECIAL: Final = ("<PAD>", "<SOS>", "<EOS>", "<UNK>")


@dataclass(frozen=True)
class Sizes:
    """Sizes of a checkpoint; the defaults are the published ones.

    Attributes:
        hidden: width of the transformer.
        audio_f: width of the audio features.
        motion_f: width of the motion features.
        codebook: number of codes of a part, and their width.
        speakers: number of speakers.
        window: frames of a window.
        words: vocabulary; empty for the layout of 2025.

    """

    hidden: int = 768
    audio_f: int = 256
    motion_f: int = 256
    codebook: int = 256
    speakers: int = 1
    window: int = 64
    words: tuple[str, ...] = ()


def write_random_audio_layout(directory: Path, *, seed: int = 0, **sizes: int) -> None:
    """Write a checkpoint of 2025 with random weights; sizes: see `Sizes`."""
    size = Sizes(**sizes)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    _write_folder(directory, _audio_config(size), drawn(audio_shapes(size), size, generator))
    for name, (channels, layers) in {**PARTS, "global": GLOBAL}.items():
        codes = None if name == "global" else size.codebook
        shapes = autoencoder_shapes(channels, size.codebook, layers, codes)
        config = _autoencoder_config(channels, size.codebook, layers, codes)
        _write_folder(directory / "emage_vq" / name, config, drawn(shapes, size, generator))


def write_random_text_layout(
    directory: Path, words: tuple[str, ...], *, seed: int = 0, **sizes: int
) -> None:
    """Write a checkpoint of 2024 with random weights for `words`, numbered from 4 on."""
    size = Sizes(words=words, **{"speakers": 25, **sizes})
    generator = torch.Generator().manual_seed(seed)
    directory.mkdir(parents=True, exist_ok=True)
    model = drawn(text_shapes(size), size, generator)
    parallel = {f"module.{name}": tensor for name, tensor in model.items()}
    torch.save({"model_state": parallel}, directory / "emage_audio_text.bin")
    for name, (channels, layers) in {**PARTS, "global": GLOBAL}.items():
        codes = None if name == "global" else size.codebook
        state = drawn(autoencoder_shapes(channels, size.codebook, layers, codes), size, generator)
        torch.save({"model_state": state}, directory / TEXT_FILES[name])
    index = dict(enumerate((*_SPECIAL, *words)))
    (directory / "vocab.json").write_text(json.dumps({"index2word": index}))


def _write_folder(
    directory: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    save_file(dict(tensors), str(directory / "model.safetensors"), metadata={"format": "pt"})


def _audio_config(size: Sizes) -> dict[str, Any]:
    chosen = {"cf": 0, "cu": 1, "ch": 1, "cl": 1, "lf": 3, "lu": 3, "lh": 3, "ll": 3}
    rates = {"audio_sr": 16000, "audio_fps": 16000, "pose_fps": 30, "pose_dims": 330}
    return {
        "model_type": "emage_audio",
        "architectures": ["EmageAudioModel"],
        "hidden_size": size.hidden,
        "audio_f": size.audio_f,
        "motion_f": size.motion_f,
        "vae_codebook_size": size.codebook,
        "speaker_dims": size.speakers,
        "speaker_f": size.hidden,
        "pose_length": size.window,
        "seed_frames": 4,
        **chosen,
        **rates,
    }


def _autoencoder_config(
    channels: int, width: int, layers: int, codes: int | None
) -> dict[str, Any]:
    config = {"vae_layer": layers, "vae_length": width, "vae_test_dim": channels}
    if codes is None:
        return {"model_type": "emage_vaeconv", "architectures": ["EmageVAEConv"], **config}
    quantiser = {"vae_codebook_size": codes, "vae_quantizer_lambda": 1.0}
    kind = {"model_type": "emage_vqvaeconv", "architectures": ["EmageVQVAEConv"]}
    return {**kind, **config, **quantiser}


# -- names and shapes --------------------------------------------------------------------------


def audio_shapes(size: Sizes) -> Shapes:
    """Shapes of all tensors of the network of 2025."""
    hidden, motion, codes = size.hidden, size.motion_f, size.codebook
    shapes: Shapes = {"mask_embedding": (1, 1, _MOTION)}
    shapes |= _positions(size)
    for branch in ("face", "body"):
        shapes |= _wave_encoder(f"audio_encoder_{branch}", 1, size.audio_f)
        shapes[f"speaker_embedding_{branch}.weight"] = (size.speakers, hidden)
        shapes |= _mlp(f"bodyhints_{branch}", ("fc1", "fc2"), motion, hidden, motion)
    shapes |= _encoder("motion_encoder.main", _MOTION, motion, 3)
    shapes |= _linear("audio_body_motion_proj", size.audio_f, hidden)
    shapes |= _linear("moton_proj", motion, hidden)
    shapes |= _linear("audio_face_motion_proj", size.audio_f + motion, hidden)
    shapes |= _layer("transformer_en_layer", hidden, crossed=False)  # a template, unused
    shapes |= _layer("audio_motion_cross_attn_layer", hidden, crossed=True)  # another
    shapes |= _layer("motion_self_encoder.layers.0", hidden, crossed=False)
    shapes |= _stack("audio_motion_cross_attn", hidden, 8)
    shapes |= _stack("face_motion_decoder", hidden, 4)
    shapes |= _linear("face_out_proj", hidden, codes)
    shapes |= _mlp("face_cls", ("fc1", "fc2"), codes, hidden, codes)
    for part in BODY:
        shapes |= _mlp(f"motion2latent_{part}", ("fc1", "fc2"), hidden, hidden, hidden)
        shapes |= _stack(f"body_motion_decoder_{part}", hidden, 1)
        shapes |= _linear(f"motion_out_proj_{part}", hidden, codes)
        shapes |= _mlp(f"motion_cls_{part}", ("fc1", "fc2"), codes, hidden, codes)
    return shapes


def text_shapes(size: Sizes) -> Shapes:
    """Shapes of all tensors of the network of 2024."""
    hidden, motion, codes, audio = size.hidden, size.motion_f, size.codebook, size.audio_f
    layers = ("mlp.0", "mlp.2")
    shapes: Shapes = {"mask_embeddings": (1, 1, _MOTION)}
    shapes |= _positions(size)
    for branch in ("face", "body"):
        shapes |= _wave_encoder(f"audio_pre_encoder_{branch}", 2, audio)
        shapes[f"text_pre_encoder_{branch}.weight"] = (len(_SPECIAL) + len(size.words), _WORD_WIDTH)
        shapes |= _linear(f"text_encoder_{branch}", _WORD_WIDTH, audio)
        shapes |= _linear(f"at_attn_{branch}", 2 * audio, 2 * audio)
        shapes[f"spearker_encoder_{branch}.weight"] = (size.speakers, hidden)
        shapes |= _mlp(f"bodyhints_{branch}", layers, motion, hidden, motion)
    shapes |= _encoder("motion_encoder.main", _MOTION, motion, 3)
    shapes |= _linear("audio_feature2motion", audio, hidden)
    shapes |= _linear("feature2motion", motion, hidden)
    shapes |= _linear("feature2face", audio + motion, hidden)
    shapes |= _layer("transformer_en_layer", hidden, crossed=False)  # a template, unused
    shapes |= _layer("transformer_de_layer", hidden, crossed=True)  # another
    shapes |= _layer("motion_self_encoder.layers.0", hidden, crossed=False)
    shapes |= _stack("wordhints_decoder", hidden, 8)
    shapes |= _stack("face_decoder", hidden, 4)
    shapes |= _linear("face2latent", hidden, codes)
    for part in BODY:
        shapes |= _mlp(f"motion2latent_{part}", layers, hidden, hidden, hidden)
        shapes |= _stack(f"{part}_decoder", hidden, 1)
        shapes |= _linear(f"motion_down_{part}", hidden, codes)
    for part in ("face", *BODY):
        shapes |= _mlp(f"{part}_classifier", layers, codes, hidden, codes)
    return shapes


def autoencoder_shapes(channels: int, width: int, layers: int, codes: int | None) -> Shapes:
    """Shapes of all tensors of a part's VQ-VAE, or of the root model, which has no codes."""
    shapes = _encoder("encoder.main", channels, width, layers)
    if codes is not None:
        shapes["quantizer.embedding.weight"] = (codes, width)
    for i in range(2):
        shapes |= _residual(f"decoder.main.{i}", width)
    for i in range(layers):
        out = channels if i == layers - 1 else width
        shapes |= _conv(f"decoder.main.{2 + 2 * i}", width, out)
    return shapes | _conv(f"decoder.main.{2 + 2 * layers}", channels, channels)


def _linear(name: str, width_in: int, width_out: int) -> Shapes:
    return {f"{name}.weight": (width_out, width_in), f"{name}.bias": (width_out,)}


def _conv(name: str, channels: int, out: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": (out, channels, kernel), f"{name}.bias": (out,)}


def _mlp(name: str, layers: tuple[str, str], width: int, hidden: int, out: int) -> Shapes:
    first, second = (f"{name}.{layer}" for layer in layers)
    return _linear(first, width, hidden) | _linear(second, hidden, out)


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _batch_norm(name: str, width: int) -> Shapes:
    moments = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
    return {**_norm(name, width), **moments, f"{name}.num_batches_tracked": ()}


def _attention(name: str, width: int) -> Shapes:
    joint = {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
    return joint | _linear(f"{name}.out_proj", width, width)


def _layer(name: str, width: int, *, crossed: bool) -> Shapes:
    shapes = _attention(f"{name}.self_attn", width)
    shapes |= _linear(f"{name}.linear1", width, 2 * width)
    shapes |= _linear(f"{name}.linear2", 2 * width, width)
    if crossed:
        shapes |= _attention(f"{name}.multihead_attn", width) | _norm(f"{name}.norm3", width)
    return shapes | _norm(f"{name}.norm1", width) | _norm(f"{name}.norm2", width)


def _stack(name: str, width: int, layers: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(layers):
        shapes |= _layer(f"{name}.layers.{i}", width, crossed=True)
    return shapes


def _residual(name: str, width: int) -> Shapes:
    return _conv(f"{name}.model.0", width, width) | _conv(f"{name}.model.2", width, width)


def _encoder(name: str, channels: int, width: int, layers: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(layers):
        shapes |= _conv(f"{name}.{3 * i}", width if i else channels, width)
        shapes |= _residual(f"{name}.{3 * i + 2}", width)
    return shapes


def _wave_encoder(name: str, channels: int, width: int) -> Shapes:
    shapes: Shapes = {}
    widths = (channels, *[width // 4] * 3, *[width // 2] * 2, width)
    for i in range(6):
        block, out = f"{name}.feat_extractor.{i}", widths[i + 1]
        shapes |= _conv(f"{block}.conv1", widths[i], out, 15) | _batch_norm(f"{block}.bn1", out)
        shapes |= _conv(f"{block}.conv2", out, out, 15) | _batch_norm(f"{block}.bn2", out)
        if i in (0, 1, 3, 5):
            shapes |= _conv(f"{block}.downsample.0", widths[i], out, 15)
            shapes |= _batch_norm(f"{block}.downsample.1", out)
    return shapes


def _positions(size: Sizes) -> Shapes:
    return {"position_embeddings.pe": (1, 2 * size.window, size.hidden)}


# -- values --------------------------------------------------------------------------------------


def drawn(shapes: Shapes, size: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
    """Random tensors that keep activations near one; positional encodings are exact.

    tests/engine/bundle/checkpoints/published_audio.npz depends on these values: generate it again
    after a change.
    """
    return {name: _value(name, shape, size, generator) for name, shape in shapes.items()}


def _value(name: str, shape: tuple[int, ...], size: Sizes, generator: torch.Generator) -> Tensor:
    if name.endswith(".pe"):
        return _sines(size.window, size.hidden).repeat(2, 1)[None]
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    noise = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return 0.5 + noise.square()
    if len(shape) == 1:
        return 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
    if name.startswith(_TABLES):
        return noise
    gain = next((gain for part, gain in _GAINS.items() if part in name), 1.2)
    return noise * (gain / math.sqrt(math.prod(shape[1:])))


def _sines(frames: int, width: int) -> Tensor:
    angles = [[t / 10000 ** (2 * i / width) for i in range(width // 2)] for t in range(frames)]
    angle = torch.tensor(angles, dtype=torch.float64)
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1).float()
