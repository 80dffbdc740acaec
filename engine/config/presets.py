"""Design P: the paper's own (EMAGE, CVPR 2024), as configurations of the same networks.

The paper gives: 337 channels in, tokens of 256, h of 512, a window of 64; four codebooks of
256 x 512; rhythm through a temporal convolutional network, content through a linear map, a 2-layer
perceptron for alpha, twice (face and body); self-attention over time without feed-forward; global
motion from 334 channels to 3. It does not give, and here is taken from the checkpoints of 2024 by
the same authors: heads, depths of the decoders, feed-forward width, dropout, slope, the width of
the speech features, the positions' period, the words' width. Chosen here, for want of either: two
layers of spatial attention (in the first the joints see one another, in the second CLS sees what
came of it), a word table that face and body share, and convolutions as wide as the codes.

Rhythm is "onset and amplitude" and the paper gives neither their rate nor the network's size. Here
it is the onset and level channels of our causal features, at the frame rate, through the causal
network of design L: so P trains on the same corpora and streams without look-ahead. Amplitude and
onsets at the rate of samples are an audio encoder of kind WAVE with two channels, as in the
checkpoints of 2024; it takes this one's place by `dataclasses.replace`.
"""

from engine.config.features import DEFAULT_FEATURES, FeatureConfig
from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    ForwardPath,
    GestureConfig,
    GlobalMotionConfig,
    MotionEncoderConfig,
    MotionKind,
    PartVaeConfig,
    WordConfig,
)
from engine.motion.channels import LOCAL_MOTION, part_layout
from engine.motion.skeleton import BodyPart

SPATIAL_LAYERS = 2
_LOWER_LAYERS = 4  # of the lower body and the global motion; 2 elsewhere (the checkpoints)


def paper_config(
    vocabulary: int,
    *,
    path: ForwardPath = ForwardPath.CROSS_ATTENTION,
    width: int = 512,
    audio_width: int = 256,
    motion_width: int = 256,
    word_width: int = 300,
    codes: int = 256,
    code_dim: int = 512,
    speakers: int = 25,
    features: FeatureConfig = DEFAULT_FEATURES,
) -> GestureConfig:
    """The gesture transformer of the paper, or with another of fig. 5's paths.

    vocabulary: rows of the word table, PAD included.
    """
    rhythm = (features.groups["onset"].start, features.groups["level"].stop)
    return GestureConfig(
        audio=AudioEncoderConfig(
            AudioKind.FEATURES, features.width, audio_width, dilations=(1, 2, 4, 8), heard=rhythm
        ),
        words=WordConfig(vocabulary, word_width, shared=True),
        motion=MotionEncoderConfig(MotionKind.SPATIAL, width=motion_width, layers=SPATIAL_LAYERS),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        slope=0.2,
        path=path,
        self_feed_forward=False,
    )


def paper_part_config(
    part: BodyPart, *, face_width: int = 100, width: int = 512, codes: int = 256
) -> PartVaeConfig:
    """The VQ-VAE of one part (section 4.1, supplement D); width: of its codes and convolutions.

    The lower body keeps our three channels of translation beside the paper's 54 + 4.
    """
    layers = _LOWER_LAYERS if part is BodyPart.LOWER else 2
    channels = part_layout(part, face_width).width
    return PartVaeConfig(channels, width, code_dim=width, codes=codes, layers=layers)


def paper_global_config(*, width: int = 512) -> GlobalMotionConfig:
    """From `engine.model.root_motion.local_motion` to a translation (supplement D)."""
    return GlobalMotionConfig(LOCAL_MOTION.width, out=3, width=width, layers=_LOWER_LAYERS)
