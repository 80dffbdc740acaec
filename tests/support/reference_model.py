"""Independent implementation of the published networks.

Uses torch functions and the published tensor names, and no module of the engine. Tensors are
`[B, T, ...]`; weights are the tensors of a checkpoint by name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
Windows = tuple[list[Tensor], list[Tensor]]

SIZES = {"hidden": 16, "audio_f": 8, "motion_f": 12, "codebook": 24, "window": 24}
WORDS = ("Yes", "no", "yes", "hello", "never")
BODY = ("upper", "hands", "lower")
STRIDES = (5, 6, 1, 6, 1, 3)
PADDINGS = (1600, 0, 7, 0, 7, 0)


def write_pointer(path: Path) -> None:
    """Write a Git LFS pointer, which replaces a large file in a clone without Git LFS."""
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    )


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def perceptron(w: Weights, layers: Sequence[str], slope: float, x: Tensor) -> Tensor:
    return linear(w, layers[1], F.leaky_relu(linear(w, layers[0], x), slope))


def attention(w: Weights, name: str, x: Tensor, memory: Tensor) -> Tensor:
    query, key = x.transpose(0, 1), memory.transpose(0, 1)
    result, _ = F.multi_head_attention_forward(
        *(query, key, key, x.shape[-1], 4, w[f"{name}.in_proj_weight"], w[f"{name}.in_proj_bias"]),
        *(None, None, False, 0.0, w[f"{name}.out_proj.weight"], w[f"{name}.out_proj.bias"]),
        training=False,
        need_weights=False,
    )
    return result.transpose(0, 1)


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def layer(w: Weights, name: str, x: Tensor, memory: Tensor | None = None) -> Tensor:
    x = norm(w, f"{name}.norm1", x + attention(w, f"{name}.self_attn", x, x))
    last = "norm2"
    if memory is not None:
        attended = attention(w, f"{name}.multihead_attn", x, memory)
        x, last = norm(w, f"{name}.norm2", x + attended), "norm3"
    inner = F.relu(linear(w, f"{name}.linear1", x))
    return norm(w, f"{name}.{last}", x + linear(w, f"{name}.linear2", inner))


def stack(w: Weights, name: str, layers: int, x: Tensor, memory: Tensor) -> Tensor:
    for i in range(layers):
        x = layer(w, f"{name}.layers.{i}", x, memory)
    return x


def batch_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    moments = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return F.batch_norm(x, *moments, w[f"{name}.weight"], w[f"{name}.bias"])


def encode_audio(w: Weights, name: str, audio: Tensor, frames: int, *, crop: bool = True) -> Tensor:
    """`[B, S, channels]` to `[B, frames, width]`, or more frames if not cropped."""
    x = audio.transpose(1, 2)
    for i, (stride, padding) in enumerate(zip(STRIDES, PADDINGS, strict=True)):
        block = f"{name}.feat_extractor.{i}"
        first, second, short = (f"{block}.{n}" for n in ("conv1", "conv2", "downsample.0"))
        options = {"stride": stride, "padding": padding}
        y = F.conv1d(x, w[f"{first}.weight"], w[f"{first}.bias"], **options)
        y = F.leaky_relu(batch_norm(w, f"{block}.bn1", y), 0.01)
        y = F.conv1d(y, w[f"{second}.weight"], w[f"{second}.bias"], padding=7)
        if f"{short}.weight" in w:
            x = F.conv1d(x, w[f"{short}.weight"], w[f"{short}.bias"], **options)
            x = batch_norm(w, f"{block}.downsample.1", x)
        x = F.leaky_relu(batch_norm(w, f"{block}.bn2", y) + x, 0.01)
    x = x.transpose(1, 2)[:, : frames if crop else None]
    missing = frames - x.shape[1]
    return torch.cat((x, x[:, x.shape[1] - missing :]), 1) if missing > 0 else x


def conv(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)


def residual(w: Weights, name: str, x: Tensor) -> Tensor:
    inner = F.leaky_relu(conv(w, f"{name}.model.0", x), 0.2)
    return x + conv(w, f"{name}.model.2", inner)


def encode(w: Weights, name: str, x: Tensor) -> Tensor:
    """Motion `[B, T, C]` to `[B, T, width]`."""
    x, i = x.transpose(1, 2), 0
    while f"{name}.{i}.weight" in w:
        x = F.leaky_relu(conv(w, f"{name}.{i}", x), 0.2)
        x = residual(w, f"{name}.{i + 2}", x)
        i += 3
    return x.transpose(1, 2)


def decode(w: Weights, name: str, x: Tensor) -> Tensor:
    """`[B, T, width]` to motion `[B, T, C]`."""
    x, i = x.transpose(1, 2), 2
    for unit in range(2):
        x = residual(w, f"{name}.{unit}", x)
    while f"{name}.{i + 2}.weight" in w:
        x = F.leaky_relu(conv(w, f"{name}.{i}", x), 0.2)
        i += 2
    return conv(w, f"{name}.{i}", x).transpose(1, 2)


def nearest(w: Weights, latents: Tensor) -> Tensor:
    """Codes `[B, T]` of latents."""
    book = w["quantizer.embedding.weight"]
    return torch.cdist(latents.double(), book.double().expand(len(latents), -1, -1)).argmin(-1)


def audio_window(
    w: Weights, audio: Tensor, speaker: Tensor, motion: Tensor, mask: Tensor
) -> Windows:
    """Latents and scores of `emage-audio` (2025), face first."""

    def mlp(name: str, x: Tensor) -> Tensor:
        return perceptron(w, (f"{name}.fc1", f"{name}.fc2"), 0.1, x)

    frames = motion.shape[1]
    positions = w["position_embeddings.pe"][:, :frames]
    hint = encode(w, "motion_encoder.main", torch.where(mask == 1, w["mask_embedding"], motion))
    speakers = {x: w[f"speaker_embedding_{x}.weight"][speaker][:, None] for x in ("face", "body")}
    memory = torch.cat(
        (encode_audio(w, "audio_encoder_face", audio, frames), mlp("bodyhints_face", hint)), -1
    )
    query = (speakers["face"] + positions).expand(len(audio), -1, -1)
    face = stack(w, "face_motion_decoder", 4, query, linear(w, "audio_face_motion_proj", memory))
    x = linear(w, "moton_proj", mlp("bodyhints_body", hint)) + positions + speakers["body"]
    x = layer(w, "motion_self_encoder.layers.0", x) + speakers["body"] + positions
    # not cropped: the reference implementation crops the face's features twice by mistake
    memory = encode_audio(w, "audio_encoder_body", audio, frames, crop=False)
    memory = linear(w, "audio_body_motion_proj", memory)
    x = x + stack(w, "audio_motion_cross_attn", 8, x, memory)
    own = {part: mlp(f"motion2latent_{part}", x) for part in BODY}
    latents = [linear(w, "face_out_proj", face)]
    for part in BODY:
        others = sum(own[other] for other in BODY if other != part)
        name = f"body_motion_decoder_{part}"
        refined = stack(w, name, 1, own[part] + speakers["body"], torch.as_tensor(others))
        latents.append(linear(w, f"motion_out_proj_{part}", own[part] + refined))
    names = ("face_cls", *(f"motion_cls_{part}" for part in BODY))
    return latents, [mlp(name, x) for name, x in zip(names, latents, strict=True)]


def text_window(
    w: Weights, audio: Tensor, words: Tensor, speaker: Tensor, motion: Tensor, mask: Tensor
) -> Windows:
    """Latents and scores of `emage-text` (2024), face first."""

    def mlp(name: str, x: Tensor) -> Tensor:
        return perceptron(w, (f"{name}.mlp.0", f"{name}.mlp.2"), 0.2, x)

    def fused(part: str) -> Tensor:
        rhythm = encode_audio(w, f"audio_pre_encoder_{part}", audio, frames)
        content = linear(w, f"text_encoder_{part}", w[f"text_pre_encoder_{part}.weight"][words])
        scores = linear(w, f"at_attn_{part}", torch.cat((content, rhythm), -1))
        weights = scores.reshape(*rhythm.shape, 2).softmax(-1)
        return weights[..., 1] * content + weights[..., 0] * rhythm

    frames = motion.shape[1]
    positions = w["position_embeddings.pe"][:, :frames]
    hint = encode(w, "motion_encoder.main", torch.where(mask == 1, w["mask_embeddings"], motion))
    speakers = {x: w[f"spearker_encoder_{x}.weight"][speaker][:, None] for x in ("face", "body")}
    memory = torch.cat((fused("face"), mlp("bodyhints_face", hint)), -1)
    query = (speakers["face"] + positions).expand(len(audio), -1, -1)
    face = stack(w, "face_decoder", 4, query, linear(w, "feature2face", memory))
    x = linear(w, "feature2motion", mlp("bodyhints_body", hint)) + positions + speakers["body"]
    x = layer(w, "motion_self_encoder.layers.0", x)
    memory = linear(w, "audio_feature2motion", fused("body"))
    x = x + stack(w, "wordhints_decoder", 8, x + positions, memory)
    own = {part: mlp(f"motion2latent_{part}", x) for part in BODY}
    latents = [linear(w, "face2latent", face)]
    for part in BODY:
        others = sum(own[other] for other in BODY if other != part)
        query = own[part] + speakers["body"] + positions
        refined = stack(w, f"{part}_decoder", 1, query, torch.as_tensor(others))
        latents.append(linear(w, f"motion_down_{part}", own[part] + refined))
    names = (f"{part}_classifier" for part in ("face", *BODY))
    return latents, [mlp(name, x) for name, x in zip(names, latents, strict=True)]
