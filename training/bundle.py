"""The stage `bundle`: builds a bundle from trained modules.

Reads DATA/<vq>/{face,upper,hands,lower,global,rest.npz} and DATA/<gesture>, writes the bundle into
OUT and prints its size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import CONFIG_FILE, WEIGHTS_FILE, Bundle, new_bundle, save_bundle
from engine.clock import FrameClock
from engine.config.model import GestureConfig, PartVaeConfig, RootModelConfig
from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import HandReference, Motion
from engine.motion.skeleton import BodyPart
from engine.postprocess.chain import PostProcessConfig
from training.data.clips import load_clip
from training.data.vectors import part_vector
from training.gesture.stage import SCHEDULES, SPEAKERS, read_vocabulary
from training.module_io import load_config, load_weights

_SETTLED = 96  # frames of the rest pose; more than the receptive field of a causal encoder
_COPIED = (
    *("name", "provenance", "schedule", "code_selection", "sampling", "include_encoders"),
    *("recenter_time_s", "postprocess", "face", "hand_reference"),
)


@dataclass(frozen=True)
class BundleSettings:
    """Settings of the stage.

    Attributes:
        name: name of the bundle.
        provenance: origin and licence of the weights.
        schedule: windows of live streams.
        trained_schedules: schedules used in training; empty for those written by the stage gesture.
        code_selection: selection of each part's codes; argmax_or_sample for parts not listed.
        sampling: sampling of codes from class scores.
        speakers: name of each speaker; empty for those written by the stage gesture.
        include_encoders: true if the weights contain the VQ-VAEs' encoders.
        recenter_time_s: time constant of root recentering, seconds; 0 disables it.
        postprocess: post-processing of poses.
        max_weights_mb: maximum size of the weights, MB; larger weights are an error.
        vq: folder in DATA of the autoencoders.
        gesture: folder in DATA of the gesture transformer.
        face: face basis of the corpus, as in its corpus.json.
        hand_reference: hand reference of the corpus, as in its corpus.json.
        frame_rate: frame rate of the corpus, frames/s, as in its corpus.json.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        **BundleConfig.renamed_keys,
        "most_mb": "max_weights_mb",
    }

    name: str
    provenance: Provenance
    schedule: Schedule = field(default_factory=Schedule)
    trained_schedules: tuple[Schedule, ...] = ()
    code_selection: dict[BodyPart, CodeSelection] = field(default_factory=dict)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    speakers: tuple[str, ...] = ()
    include_encoders: bool = False
    recenter_time_s: float = 0.0
    postprocess: PostProcessConfig = field(default_factory=PostProcessConfig)
    max_weights_mb: float = 5.0
    vq: str = "vq"
    gesture: str = "gesture"
    face: str = ARKIT_51.name
    hand_reference: HandReference = HandReference.FLAT
    frame_rate: int = 30


def rest_codes(parts: dict[BodyPart, PartVae], rest: Motion) -> Tensor:
    """Encode the rest pose (the first frame of `rest`) to one code per part, `[P]` int64."""
    codes = []
    for part in BodyPart:
        still = torch.from_numpy(np.repeat(part_vector(part, rest)[None, :1], _SETTLED, axis=1))
        codes.append(int(parts[part].quantize(parts[part].encode(still)).codes[0, -1]))
    return torch.tensor(codes)


def read_schedules(gesture: Path) -> tuple[Schedule, ...]:
    """Read the schedules that the stage gesture wrote; empty for older trainings."""
    path = gesture / SCHEDULES
    if not path.is_file():
        return ()
    return tuple(from_mapping(Schedule, entry) for entry in json.loads(path.read_text()))


def read_speakers(gesture: Path) -> tuple[str, ...]:
    """Read the speakers that the stage gesture wrote; one default speaker for older trainings."""
    path = gesture / SPEAKERS
    return tuple(json.loads(path.read_text())) if path.is_file() else ("default",)


def bundle_config(settings: BundleSettings, vq: Path, gesture: Path) -> BundleConfig:
    """Combine the settings with the configurations of the modules."""
    return BundleConfig(
        gesture=load_config(gesture, GestureConfig),
        parts={part: load_config(vq / part, PartVaeConfig) for part in BodyPart},
        root_model=load_config(vq / "global", RootModelConfig),
        vocabulary=read_vocabulary(gesture).words,
        speakers=settings.speakers or read_speakers(gesture),
        trained_schedules=settings.trained_schedules or read_schedules(gesture),
        clock=FrameClock(frame_rate=settings.frame_rate),
        **{name: getattr(settings, name) for name in _COPIED},
    )


def _fill(bundle: Bundle, vq: Path, gesture: Path) -> None:
    load_weights(gesture, bundle.gesture)
    load_weights(vq / "global", bundle.root_model)
    whole = {}
    for part in BodyPart:
        whole[part] = build_part_vae(bundle.config.parts[part])
        load_weights(vq / part, whole[part])
        kept = bundle.parts[part].state_dict().keys()
        state = {name: value for name, value in whole[part].state_dict().items() if name in kept}
        bundle.parts[part].load_state_dict(state)
    bundle.rest_codes.copy_(rest_codes(whole, load_clip(vq / "rest.npz")[0]))


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Build and write the bundle; raises ConfigError if the weights are too large."""
    settings = from_mapping(BundleSettings, config)
    vq, gesture = data / settings.vq, data / settings.gesture
    bundle = new_bundle(bundle_config(settings, vq, gesture))
    with torch.no_grad():
        _fill(bundle, vq, gesture)
    save_bundle(bundle, out)
    size_mb = (out / WEIGHTS_FILE).stat().st_size / 1e6
    print(f"{out}: {size_mb:.2f} MB, rest codes {bundle.rest_codes.tolist()}")
    if size_mb > settings.max_weights_mb:
        (out / CONFIG_FILE).unlink()  # so that nothing loads it as a bundle
        most_mb = settings.max_weights_mb
        raise ConfigError(f"the weights take {size_mb:.2f} MB, expected at most {most_mb:g}")
