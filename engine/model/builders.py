"""Builders: the only place where a configuration's numbers become modules."""

from torch import nn

from engine.config import GlobalMotionConfig, PartVaeConfig
from engine.model.conv import ConvDecoder, ConvEncoder
from engine.model.global_motion import GlobalMotion
from engine.model.part_vae import PartVae
from engine.model.vector_quantizer import VectorQuantizer


def _projection(channels_in: int, channels_out: int) -> nn.Module:
    if channels_in == channels_out:
        return nn.Identity()
    return nn.Linear(channels_in, channels_out)


def build_part_vae(config: PartVaeConfig) -> PartVae:
    """The VQ-VAE of one part, with fresh weights."""
    width, causal = config.width, config.causal
    return PartVae(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        to_code=_projection(width, config.code_dim),
        quantizer=VectorQuantizer(config.codes, config.code_dim, commitment=config.commitment),
        from_code=_projection(config.code_dim, width),
        decoder=ConvDecoder(width, config.channels, config.layers, causal=causal),
    )


def build_global_motion(config: GlobalMotionConfig) -> GlobalMotion:
    """The network from lower-body motion to global motion, with fresh weights."""
    width, causal = config.width, config.causal
    return GlobalMotion(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        decoder=ConvDecoder(width, config.out, config.layers, causal=causal),
    )
