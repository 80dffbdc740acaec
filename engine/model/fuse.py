"""Lean models: the same function of a window, to rounding, in fewer products. For running only.

Two linear maps one after the other are one: a memory that is made wide and then projected to keys
and values by every layer is projected from where it was narrow, where few frames ask they are
projected and the memory is not, and normalisation by fixed moments is part of the convolution
before it. What depends on weights alone is computed once. Weights that
stay as they are are shared with the model, not copied; a model that is trained or moved to another
device afterwards needs a new one.
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

WORTH: Final = 4_000_000
"""Products of a window that must be saved for a memory to be left unprojected: a small network
gains nothing by fewer, and its graphs are 4 MB larger by the kernels of other shapes."""
_Module = TypeVar("_Module", bound=nn.Module)


@torch.no_grad()
def fuse_for_inference(model: GestureModel) -> GestureModel:
    """The lean form of `model`, in evaluation mode."""
    model.eval()
    twin = with_submodules(model, speech=_lean_speech(model.speech), face=_lean_face(model.face))
    if isinstance(model.body, BodyDecoder):
        twin = with_submodules(twin, body=_lean_body(model.body))
    twin = _attending(twin)
    if model.face_speaker is not None and not model.face.attend_aligned:
        place = model.positions(model.positions.table.shape[0])
        face = PrecomputedFaceDecoder(twin.face, model.face_speaker, place)
        twin = with_submodules(twin, face=face, face_speaker=nn.Identity())
    return twin


def with_submodules(module: _Module, **children: nn.Module) -> _Module:
    """A twin of `module` that shares everything with it but these children."""
    twin = copy(module)
    twin._modules = {**module._modules, **children}
    return twin


def _attending(module: _Module) -> _Module:
    """A twin of `module` whose attention is lean, all of it."""
    children: dict[str, nn.Module] = {}
    for name, child in module.named_children():
        if isinstance(child, Attention):
            children[name] = FusedAttention(child)
        elif not isinstance(child, FusedAttention):
            children[name] = _attending(child)
    return with_submodules(module, **children)


# -- memories --------------------------------------------------------------------------------------


class FusedAttention(nn.Module):
    """`attention` on memories `[B, T', N]`, or on itself, in as few products as the shapes allow.

    widen: a map of the memory `[.., N] -> [.., D]` that is left out before it, if there is one.
    """

    own: Tensor

    def __init__(self, attention: Attention, widen: nn.Linear | None = None) -> None:
        super().__init__()
        self.attention = attention
        width = attention.out_proj.in_features
        weight, bias = attention.in_proj.weight[width:], attention.in_proj.bias[width:]
        if widen is not None:
            # In twice the precision, so that one rounding takes the place of two.
            joined = weight.double() @ widen.weight.double()
            bias = (weight.double() @ widen.bias.double() + bias).float()
            weight = joined.float()
        heads = torch.eye(attention.heads, device=weight.device)
        own = heads.repeat_interleave(width // attention.heads, 1)
        self.register_buffer("own", own, persistent=False)
        # On no device until it has its weights: those of the attention are shared.
        self.key_value = nn.Linear(weight.shape[1], 2 * width, device="meta")
        self.key_value.weight, self.key_value.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """`[B, n, D]`, as `Attention` gives it."""
        return (
            self.attention(x)
            if memory is None
            else self.attend_projected(self.project_query(x), memory)
        )

    def project_query(self, x: Tensor) -> Tensor:
        """Queries `[B, n, D]` of x."""
        return self.attention.project_query(x)

    def attend_projected(self, query: Tensor, memory: Tensor) -> Tensor:
        """`[B, n, D]`: what queries `[B, n, D]` find in a memory."""
        if self._few(query.shape[1], memory.shape[1]):
            return self._found(query, memory)
        return self.attention.attend_projected(query, self.key_value(memory))

    def _few(self, asking: int, remembered: int) -> bool:
        """Whether so few ask, of so much, that the memory is better left as it is."""
        twice, narrow = self.key_value.weight.shape
        projected = remembered * (narrow + asking) * twice
        left = asking * self.attention.heads * narrow * (twice + 2 * remembered)
        return projected - left > WORTH

    def _found(self, query: Tensor, memory: Tensor) -> Tensor:
        """Keys and values are linear in the memory, so that what asks and what is found can be
        projected in their place.

        A key's bias raises all scores of a query by the same and does nothing; that of a value is
        found whole, as weights add up to one. Heads are rows that are zero but for their own
        channels: whole products of few rows are quicker than parts of them, one a head.
        """
        (batch, asking, width), heads = query.shape, len(self.own)
        key, value = self.key_value.weight[:width], self.key_value.weight[width:]
        scaled = query * (width // heads) ** -0.5
        rows = (scaled[:, :, None] * self.own).view(batch, asking * heads, width) @ key
        found = (rows @ memory.transpose(-1, -2)).softmax(-1) @ memory
        values = F.linear(found, value).view(batch, asking, heads, width)
        mixed = (values * self.own).sum(2) + self.key_value.bias[width:]
        out: Tensor = self.attention.out_proj(mixed)
        return out


def _pays(widen: nn.Linear, aligned: bool) -> bool:
    """Whether there is something to save; an aligned memory is needed wide, for the queries too."""
    return widen.in_features < widen.out_features and not aligned


def _narrow(stack: DecoderStack, widen: nn.Linear) -> DecoderStack:
    layers = [
        with_submodules(layer, cross_attn=FusedAttention(cast(Attention, layer.cross_attn), widen))
        for layer in stack.layers
    ]
    return with_submodules(stack, layers=nn.ModuleList(layers))


def _lean_face(face: FaceDecoder) -> FaceDecoder:
    if not _pays(face.project, face.attend_aligned):
        return face
    return with_submodules(face, project=nn.Identity(), decoder=_narrow(face.decoder, face.project))


class PrecomputedFaceDecoder(nn.Module):
    """A `FaceDecoder` that asks with positions and speaker alone, and so begins always the same.

    What the self-attention of its first layer makes of them, and what that asks of speech, is
    looked up, for windows of as many frames as `positions [1, T, D]`; others are decoded as ever.
    Takes numbers of speakers.
    """

    begun: Tensor
    asked: Tensor

    def __init__(self, face: FaceDecoder, speakers: nn.Embedding, positions: Tensor) -> None:
        super().__init__()
        self.face, self.speakers = face, speakers
        first, *others = (cast(DecoderLayer, layer) for layer in face.decoder.layers)
        self.first, self.others = first, DecoderStack(others) if others else None
        begun = first.self_block(positions + speakers.weight[:, None])
        self.register_buffer("begun", begun, persistent=False)
        asked = cast(FusedAttention, first.cross_attn).project_query(begun)
        self.register_buffer("asked", asked, persistent=False)

    def forward(
        self,
        audio: Tensor,
        hint: Tensor,
        position: Tensor,
        speaker: Tensor,
        output_slice: slice = ALL,
    ) -> Tensor:
        """Latents `[B, n, D_code]` of the frames that are wanted; speaker `[B, 1]` int64."""
        if position.shape[1] != self.begun.shape[1]:
            return self.face(audio, hint, position, self.speakers(speaker), output_slice)
        memory = self.face.project(torch.cat((audio, hint), -1))
        who, frames = speaker[:, 0], output_slice if self.others is None else ALL
        attention = cast(FusedAttention, self.first.cross_attn)
        found = attention.attend_projected(self.asked[who][:, frames], memory)
        x = self.first.feed_forward_block(self.begun[who][:, frames], found)
        return self.face.out(x if self.others is None else self.others(x, memory, output_slice))


def _lean_body(body: BodyDecoder) -> BodyDecoder:
    widen = body.project_audio
    if not _pays(widen, body.attend_aligned):
        return body
    stack = _narrow(body.cross_attention, widen)
    return with_submodules(body, project_audio=nn.Identity(), cross_attention=stack)


# -- waveforms -------------------------------------------------------------------------------------


def _joined(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias, in double precision, of a convolution that normalises what it gives."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (conv.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return conv.weight.double() * scale[:, None, None], bias


def _convolution(weight: Tensor, bias: Tensor, like: nn.Conv1d) -> nn.Conv1d:
    stride, padding = like.stride[0], like.padding[0]
    conv = nn.Conv1d(weight.shape[1], weight.shape[0], WAVE_KERNEL, stride, padding)
    conv.weight, conv.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    return conv


class FusedWaveBlock(nn.Module):
    """A `WaveBlock` with its normalisations inside its convolutions.

    The first convolution and that of the shortcut stay two: one for both would have to be taken
    apart again, which costs more than it saves.
    """

    def __init__(self, block: WaveBlock) -> None:
        super().__init__()
        self.outer = _convolution(*_joined(block.conv1, block.bn1), block.conv1)
        self.inner = _convolution(*_joined(block.conv2, block.bn2), block.conv2)
        self.around: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            self.around = _convolution(*_joined(*block.shortcut), block.conv1)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.inner(F.leaky_relu(self.outer(x), WAVE_SLOPE))
        return F.leaky_relu(inside + self.around(x), WAVE_SLOPE)


def _lean_wave(encoder: nn.Module) -> nn.Module:
    if not isinstance(encoder, WaveEncoder):
        return encoder
    blocks = [FusedWaveBlock(cast(WaveBlock, block)) for block in encoder.blocks]
    return with_submodules(encoder, blocks=nn.ModuleList(blocks))


def _lean_speech(speech: nn.Module) -> nn.Module:
    if not isinstance(speech, SpeechEncoder):
        return speech
    branches = {
        name: with_submodules(branch, audio=_lean_wave(branch.audio))
        for name, branch in (("face", speech.face), ("body", speech.body))
    }
    return with_submodules(speech, trunk=_lean_wave(speech.trunk), **branches)
