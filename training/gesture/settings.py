"""Settings of the stage `gesture`: which network learns, from what, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from engine.config.model import BodyVariant, OnsetConfig
from engine.config.serialize import require
from training.gesture.masking import MaskingConfig
from training.gesture.rollout import RolloutConfig
from training.loop.loop import LoopSettings
from training.loop.lr_schedule import RateSchedule


class Design(StrEnum):
    """Which network learns."""

    LIVE = "live"  # our own
    PAPER = "paper"  # EMAGE as the paper has it; its speech and motion features are half as wide


@dataclass(frozen=True)
class DataSet:
    """One of several data sets: its corpus and autoencoders in DATA; `share` of the steps."""

    name: str
    corpus: str
    vq: str
    share: float = 1.0


@dataclass(frozen=True)
class GestureTraining:
    """Settings of the stage.

    silence, wordless, true_motion: shares of windows, see `GestureWindows.draw`. seen_weight: of
    frames that are not in the hidden end. minutes: stop there, to go on another time; the rate
    goes by steps alone. path: of the paper's design. reconstruct_weight: of gestures made
    of hints without sound (`MaskingConfig`). ear_weight, kind_weight: of telling stresses, and
    kinds of gestures, from what is heard; lips_weight: of telling the face from it. face_weight: of
    the face as it is decoded. Errors of both count by 1 + closure_weight where lips meet within
    speech (ARKit faces only). rollout:
    histories of the model's own making. sets: learned together in the place of corpus and vq, each
    with heads of its own. mapped: keep what windows are cut from in files of OUT, for corpora that
    do not fit into memory. start_from: another training, or a bundle, in DATA, whose weights are
    taken over where they fit. speech_dilations, cue: of the live design, see `GestureConfig`;
    cue_weight: of telling when hands set out. hearing_noise: up to which share of their own spread
    speech features are disturbed, so that the same sentence never sounds the same.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"cue": "onset", "path": "body_variant"}

    sets: tuple[DataSet, ...] = ()
    corpus: str = "corpus"
    vq: str = "vq"
    window: int = 64
    design: Design = Design.LIVE
    body_variant: BodyVariant = BodyVariant.CROSS_ATTENTION
    width: int = 96
    word_width: int = 32
    batch: int = 32
    steps: int = 6000
    minutes: float | None = None
    rate: float = 1e-3
    weight_decay: float = 0.02
    dropout: float = 0.0
    latent_weight: float = 3.0
    smoothing: float = 0.05
    seen_weight: float = 0.2
    stress_weight: float = 1.0
    ear_weight: float = 1.0
    kind_weight: float = 0.0
    face_weight: float = 0.0
    closure_weight: float = 0.0
    lips_weight: float = 0.0
    cue_weight: float = 4.0
    reconstruct_weight: float = 0.0
    hearing_noise: float = 0.0
    silence: float = 0.12
    wordless: float = 0.5
    true_motion: float = 0.25
    variants: int = 3
    threads: int = 1
    seed: int = 1
    report_every: int = 50
    clip_norm: float = 1.0
    schedule: RateSchedule = field(default_factory=lambda: RateSchedule(rise=100, least=0.02))
    loop: LoopSettings = field(default_factory=LoopSettings)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    takes: int | None = None
    mapped: bool = False
    start_from: str | None = None
    speech_dilations: tuple[int, ...] = ()
    onset: OnsetConfig | None = None

    def __post_init__(self) -> None:
        names = [each.name for each in self.sets]
        apart = len(set(names)) == len(names) and "" not in names
        require(apart, "sets", "named, each differently", names)
        require(all(each.share > 0 for each in self.sets), "share", "above 0", self.sets)
