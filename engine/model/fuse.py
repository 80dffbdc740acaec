"""Inference-time fusion: the same function of a window, to rounding, in fewer products.

Consecutive linear layers are merged. Keys and values are projected directly from the narrow memory,
or, with few queries, the projection is moved to the query side. BatchNorm is folded into the
preceding convolution. Tensors that depend on weights alone are precomputed. Unchanged weights are
shared with the model, not copied; a model that is trained or moved to another device afterwards
must be fused again.
"""

from copy import copy
from typing import Any, Final, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.audio_encoder import WAVE_KERNEL, WAVE_SLOPE, WaveBlock, WaveEncoder
from engine.model.gesture import BodyDecoder, FaceDecoder, GestureModel
from engine.model.layers import ALL, Attention, DecoderLayer, DecoderStack
from engine.model.speech_encoder import SpeechEncoder

MIN_SAVED_MACS: Final = 4_000_000
"""Multiply-adds per window that query-side projection must save. A small network gains nothing by
it, and its graphs become 4 MB larger by kernels for other shapes."""
_Module = TypeVar("_Module", bound=nn.Module)


@torch.no_grad()
def fuse_for_inference(model: GestureModel) -> GestureModel:
    """The fused form of `model`, in evaluation mode."""
    model.eval()
    fused = with_submodules(model, speech=_fuse_speech(model.speech), face=_fuse_face(model.face))
    if isinstance(model.body, BodyDecoder):
        fused = with_submodules(fused, body=_fuse_body(model.body))
    fused = _fuse_attention(fused)
    if model.face_speaker is not None and not model.face.attend_aligned:
        place = model.positions(model.positions.table.shape[0])
        face = PrecomputedFaceDecoder(fused.face, model.face_speaker, place)
        fused = with_submodules(fused, face=face, face_speaker=nn.Identity())
    return fused


def with_submodules(module: _Module, **children: nn.Module) -> _Module:
    """A shallow copy of `module` with replaced submodules; everything else is shared."""
    fused = copy(module)
    fused._modules = {**module._modules, **children}
    return fused


def _fuse_attention(module: _Module) -> _Module:
    """A shallow copy of `module` with all attention layers fused."""
    children: dict[str, nn.Module] = {}
    for name, child in module.named_children():
        if isinstance(child, Attention):
            children[name] = FusedAttention(child)
        elif not isinstance(child, FusedAttention):
            children[name] = _fuse_attention(child)
    return with_submodules(module, **children)


# -- attention -------------------------------------------------------------------------------------


class FusedAttention(nn.Module):
    """`attention` to memories `[B, T', N]`, or to itself, with the fewest products for its shapes.

    widen: linear layer of the memory `[.., N] -> [.., D]` that is merged into keys and values.
    """

    head_mask: Tensor

    def __init__(self, attention: Attention, widen: nn.Linear | None = None) -> None:
        super().__init__()
        self.attention = attention
        width = attention.out_proj.in_features
        weight, bias = attention.in_proj.weight[width:], attention.in_proj.bias[width:]
        if widen is not None:
            # In double precision, so that only one rounding occurs.
            joined = weight.double() @ widen.weight.double()
            bias = (weight.double() @ widen.bias.double() + bias).float()
            weight = joined.float()
        heads = torch.eye(attention.heads, device=weight.device)
        head_mask = heads.repeat_interleave(width // attention.heads, 1)
        self.register_buffer("head_mask", head_mask, persistent=False)
        # On the meta device: its own weights would be replaced at once.
        self.key_value = nn.Linear(weight.shape[1], 2 * width, device="meta")
        self.key_value.weight, self.key_value.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """Output `[B, n, D]` of the attention."""
        return (
            self.attention(x)
            if memory is None
            else self.attend_projected(self.project_query(x), memory)
        )

    def project_query(self, x: Tensor) -> Tensor:
        """Queries `[B, n, D]` of x."""
        return self.attention.project_query(x)

    def attend_projected(self, query: Tensor, memory: Tensor) -> Tensor:
        """Output `[B, n, D]` of projected queries `[B, n, D]` on a memory."""
        if self._query_side_is_cheaper(query.shape[1], memory.shape[1]):
            return self._query_side_attention(query, memory)
        return self.attention.attend_projected(query, self.key_value(memory))

    def _query_side_is_cheaper(self, queries: int, steps: int) -> bool:
        """True if projecting queries instead of the memory saves at least MIN_SAVED_MACS."""
        twice, narrow = self.key_value.weight.shape
        memory_side = steps * (narrow + queries) * twice
        query_side = queries * self.attention.heads * narrow * (twice + 2 * steps)
        return memory_side - query_side > MIN_SAVED_MACS

    def _query_side_attention(self, query: Tensor, memory: Tensor) -> Tensor:
        """Attention with the K/V projections moved to the query side.

        Exact, because K and V are linear in the memory. The key bias cancels in the softmax; the
        value bias is added once, because the weights sum to 1. Heads are zero-padded rows, so each
        step is one matmul instead of one per head.
        """
        (batch, queries, width), heads = query.shape, len(self.head_mask)
        key, value = self.key_value.weight[:width], self.key_value.weight[width:]
        scaled = query * (width // heads) ** -0.5
        rows = (scaled[:, :, None] * self.head_mask).view(batch, queries * heads, width) @ key
        mixed = (rows @ memory.transpose(-1, -2)).softmax(-1) @ memory
        values = F.linear(mixed, value).view(batch, queries, heads, width)
        joined = (values * self.head_mask).sum(2) + self.key_value.bias[width:]
        out: Tensor = self.attention.out_proj(joined)
        return out


def _saves_work(widen: nn.Linear, aligned: bool) -> bool:
    """Whether merging `widen` saves work; aligned queries need the wide memory anyway."""
    return widen.in_features < widen.out_features and not aligned


def _with_narrow_memory(stack: DecoderStack, widen: nn.Linear) -> DecoderStack:
    layers = [
        with_submodules(layer, cross_attn=FusedAttention(cast(Attention, layer.cross_attn), widen))
        for layer in stack.layers
    ]
    return with_submodules(stack, layers=nn.ModuleList(layers))


def _fuse_face(face: FaceDecoder) -> FaceDecoder:
    if not _saves_work(face.project, face.attend_aligned):
        return face
    return with_submodules(
        face, project=nn.Identity(), decoder=_with_narrow_memory(face.decoder, face.project)
    )


class PrecomputedFaceDecoder(nn.Module):
    """A `FaceDecoder` whose queries depend only on position and speaker.

    The first layer's self-attention output and cross-attention queries are precomputed per speaker,
    for windows of the length of `positions [1, T, D]`; other lengths are decoded as usual. Takes
    speaker indices.
    """

    first_output: Tensor
    first_query: Tensor

    def __init__(self, face: FaceDecoder, speakers: nn.Embedding, positions: Tensor) -> None:
        super().__init__()
        self.face, self.speakers = face, speakers
        first, *others = (cast(DecoderLayer, layer) for layer in face.decoder.layers)
        self.first, self.others = first, DecoderStack(others) if others else None
        first_output = first.self_block(positions + speakers.weight[:, None])
        self.register_buffer("first_output", first_output, persistent=False)
        first_query = cast(FusedAttention, first.cross_attn).project_query(first_output)
        self.register_buffer("first_query", first_query, persistent=False)

    def forward(
        self,
        audio: Tensor,
        hint: Tensor,
        position: Tensor,
        speaker: Tensor,
        output_slice: slice = ALL,
    ) -> Tensor:
        """Latents `[B, n, D_code]` of the frames in `output_slice`; speaker `[B, 1]` int64."""
        if position.shape[1] != self.first_output.shape[1]:
            return self.face(audio, hint, position, self.speakers(speaker), output_slice)
        memory = self.face.project(torch.cat((audio, hint), -1))
        index, frames = speaker[:, 0], output_slice if self.others is None else ALL
        attention = cast(FusedAttention, self.first.cross_attn)
        attended = attention.attend_projected(self.first_query[index][:, frames], memory)
        x = self.first.feed_forward_block(self.first_output[index][:, frames], attended)
        return self.face.out(x if self.others is None else self.others(x, memory, output_slice))


def _fuse_body(body: BodyDecoder) -> BodyDecoder:
    widen = body.project_audio
    if not _saves_work(widen, body.attend_aligned):
        return body
    stack = _with_narrow_memory(body.cross_attention, widen)
    return with_submodules(body, project_audio=nn.Identity(), cross_attention=stack)


# -- waveforms -------------------------------------------------------------------------------------


def _fold_norm(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias, in double precision, of a convolution with its BatchNorm folded in."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (conv.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return conv.weight.double() * scale[:, None, None], bias


def _convolution(weight: Tensor, bias: Tensor, like: nn.Conv1d) -> nn.Conv1d:
    stride, padding = like.stride[0], like.padding[0]
    conv = nn.Conv1d(weight.shape[1], weight.shape[0], WAVE_KERNEL, stride, padding)
    conv.weight, conv.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    return conv


class FusedWaveBlock(nn.Module):
    """A `WaveBlock` with BatchNorm folded into its convolutions.

    The first convolution and that of the shortcut are not merged: splitting the joint output would
    cost more than it saves.
    """

    def __init__(self, block: WaveBlock) -> None:
        super().__init__()
        self.outer = _convolution(*_fold_norm(block.conv1, block.bn1), block.conv1)
        self.inner = _convolution(*_fold_norm(block.conv2, block.bn2), block.conv2)
        self.around: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            self.around = _convolution(*_fold_norm(*block.shortcut), block.conv1)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.inner(F.leaky_relu(self.outer(x), WAVE_SLOPE))
        return F.leaky_relu(inside + self.around(x), WAVE_SLOPE)


def _fuse_wave(encoder: nn.Module) -> nn.Module:
    if not isinstance(encoder, WaveEncoder):
        return encoder
    blocks = [FusedWaveBlock(cast(WaveBlock, block)) for block in encoder.blocks]
    return with_submodules(encoder, blocks=nn.ModuleList(blocks))


def _fuse_speech(speech: nn.Module) -> nn.Module:
    if not isinstance(speech, SpeechEncoder):
        return speech
    branches = {
        name: with_submodules(branch, audio=_fuse_wave(branch.audio))
        for name, branch in (("face", speech.face), ("body", speech.body))
    }
    return with_submodules(speech, trunk=_fuse_wave(speech.trunk), **branches)
