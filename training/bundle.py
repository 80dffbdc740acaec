"""The stage `bundle`: trained modules become a bundle that `emage-live` runs.

Reads DATA/<vq>/{face,upper,hands,lower,global,rest.npz} and DATA/<gesture>; writes the bundle into
OUT and says how large it is.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import CONFIG_FILE, WEIGHTS_FILE, Bundle, new_bundle, save_bundle
from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import GestureConfig, GlobalMotionConfig, PartVaeConfig, from_mapping
from engine.errors import ConfigError
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import HandReference, Motion
from engine.motion.skeleton import BodyPart
from engine.postprocess.blinks import BlinkConfig
from engine.postprocess.gaze import GlanceConfig
from engine.postprocess.idle_motion import SwayConfig
from engine.postprocess.one_euro import SteadyConfig
from engine.postprocess.posture import PostureConfig
from engine.postprocess.stance import StanceConfig
from training.data.clips import load_clip
from training.data.vectors import part_vector
from training.gesture.stage import SCHEDULES, SPEAKERS, read_vocabulary
from training.module_io import load_config, load_weights

_SETTLED = 96  # frames of standing still after which a causal encoder has seen nothing else


@dataclass(frozen=True)
class BundleSettings:
    """Settings of the stage. most_mb: refuse to write weights larger than this. trained_for: as the
    stage gesture wrote down, unless given; speakers likewise.

    face, hand_reference, frame_rate: of the corpus, as its corpus.json says. blinks, glances, sway:
    for networks that learned none; steady, posture, stance: for all; see `engine.finish`.
    """

    name: str
    provenance: Provenance
    schedule: Schedule = field(default_factory=Schedule)
    trained_for: tuple[Schedule, ...] = ()
    choices: dict[BodyPart, CodeSelection] = field(default_factory=dict)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    speakers: tuple[str, ...] = ()
    encoders: bool = False
    homing_s: float = 0.0
    blinks: BlinkConfig | None = None
    glances: GlanceConfig | None = None
    sway: SwayConfig | None = None
    steady: SteadyConfig | None = None
    posture: PostureConfig | None = None
    stance: StanceConfig | None = None
    most_mb: float = 5.0
    vq: str = "vq"
    gesture: str = "gesture"
    face: str = ARKIT_51.name
    hand_reference: HandReference = HandReference.FLAT
    frame_rate: int = 30


def rest_codes(parts: dict[BodyPart, PartVae], rest: Motion) -> Tensor:
    """The code of each part `[P]` after standing in the pose `rest` (one frame) for a while."""
    codes = []
    for part in BodyPart:
        still = torch.from_numpy(np.repeat(part_vector(part, rest)[None, :1], _SETTLED, axis=1))
        codes.append(int(parts[part].quantize(parts[part].encode(still)).codes[0, -1]))
    return torch.tensor(codes)


def read_schedules(gesture: Path) -> tuple[Schedule, ...]:
    """What the stage gesture wrote down of its windows; nothing for older trainings."""
    path = gesture / SCHEDULES
    if not path.is_file():
        return ()
    return tuple(from_mapping(Schedule, entry) for entry in json.loads(path.read_text()))


def read_speakers(gesture: Path) -> tuple[str, ...]:
    """The speakers that the stage gesture wrote down; a single one for older trainings."""
    path = gesture / SPEAKERS
    return tuple(json.loads(path.read_text())) if path.is_file() else ("default",)


def bundle_config(settings: BundleSettings, vq: Path, gesture: Path) -> BundleConfig:
    """The bundle's configuration from those of its modules."""
    return BundleConfig(
        name=settings.name,
        gesture=load_config(gesture, GestureConfig),
        parts={part: load_config(vq / part, PartVaeConfig) for part in BodyPart},
        global_motion=load_config(vq / "global", GlobalMotionConfig),
        features=DEFAULT_FEATURES,
        provenance=settings.provenance,
        vocabulary=read_vocabulary(gesture).words,
        speakers=settings.speakers or read_speakers(gesture),
        schedule=settings.schedule,
        trained_for=settings.trained_for or read_schedules(gesture),
        choices=settings.choices,
        sampling=settings.sampling,
        encoders=settings.encoders,
        face=settings.face,
        hand_reference=settings.hand_reference,
        clock=FrameClock(frame_rate=settings.frame_rate),
        homing_s=settings.homing_s,
        blinks=settings.blinks,
        glances=settings.glances,
        sway=settings.sway,
        steady=settings.steady,
        posture=settings.posture,
        stance=settings.stance,
    )


def _fill(bundle: Bundle, vq: Path, gesture: Path) -> None:
    load_weights(gesture, bundle.gesture)
    load_weights(vq / "global", bundle.global_motion)
    whole = {}
    for part in BodyPart:
        whole[part] = build_part_vae(bundle.config.parts[part])
        load_weights(vq / part, whole[part])
        kept = bundle.parts[part].state_dict().keys()
        state = {name: value for name, value in whole[part].state_dict().items() if name in kept}
        bundle.parts[part].load_state_dict(state)
    bundle.rest_codes.copy_(rest_codes(whole, load_clip(vq / "rest.npz")[0]))


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Stage: assemble, write, and check the size."""
    settings = from_mapping(BundleSettings, config)
    vq, gesture = data / settings.vq, data / settings.gesture
    bundle = new_bundle(bundle_config(settings, vq, gesture))
    with torch.no_grad():
        _fill(bundle, vq, gesture)
    save_bundle(bundle, out)
    size_mb = (out / WEIGHTS_FILE).stat().st_size / 1e6
    print(f"{out}: {size_mb:.2f} MB, rest codes {bundle.rest_codes.tolist()}")
    if size_mb > settings.most_mb:
        (out / CONFIG_FILE).unlink()  # what is refused must not be taken for a bundle
        raise ConfigError(f"the weights take {size_mb:.2f} MB, expected at most {settings.most_mb}")
