"""Configuration of a bundle: everything but the weights."""

from dataclasses import dataclass, field

from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES, FeatureConfig
from engine.config.model import (
    FrontEnd,
    GestureConfig,
    GlobalMotionConfig,
    PartVaeConfig,
    require,
)
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import OFFLINE, Schedule
from engine.generate.state import SeedMotion
from engine.motion.face_basis import face_basis
from engine.motion.pose import HandReference, PoseFormat
from engine.motion.skeleton import BodyPart
from engine.postprocess.blinks import BlinkConfig
from engine.postprocess.chain import PostProcess, PostProcessConfig
from engine.postprocess.gaze import GlanceConfig
from engine.postprocess.idle_motion import SwayConfig
from engine.postprocess.one_euro import SteadyConfig
from engine.postprocess.posture import PostureConfig
from engine.postprocess.stance import StanceConfig


@dataclass(frozen=True)
class Provenance:
    """Where the weights come from: data with licences, the command that made them, notes."""

    licence: str
    data: tuple[str, ...]
    command: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleConfig:
    """Everything in a bundle but the weights.

    front_end: what the network hears; features matter for FrontEnd.FEATURES only. offline: the
    schedule of whole files. gated: in silence the network hears exact silence. choices: how
    each part's codes are picked. still_seeds: a stream begins with seeds of identity rotations
    at the origin, as the published programs do, instead of the rest pose. encoders: whether the
    weights hold the VQ-VAEs' encoders, which nothing live needs. homing_s: time in which the
    distance from the start falls to 1/e, for a figure that stands and talks; 0 lets it go where
    it goes. global_zeroed: fields of the lower-body vector that the global motion network was
    trained without. global_orthonormal: it sees the rotations made orthonormal, not as decoded.
    instant_words: a frame has the word that holds its first instant, as in the program of 2024.
    trained_for: schedules seen in training. blinks, glances, sway: laid over what a network makes
    that learned none, see `engine.finish`; steady: takes the trembling from upper body and hands;
    posture: turns of trunk and head; stance: how wide and how high one stands. Nothing is done to
    what the network makes unless one is given.
    """

    name: str
    gesture: GestureConfig
    parts: dict[BodyPart, PartVaeConfig]
    global_motion: GlobalMotionConfig
    provenance: Provenance
    features: FeatureConfig = DEFAULT_FEATURES
    vocabulary: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ("default",)
    face: str = "arkit51"
    hand_reference: HandReference = HandReference.FLAT
    clock: FrameClock = field(default_factory=FrameClock)
    schedule: Schedule = field(default_factory=Schedule)
    trained_for: tuple[Schedule, ...] = ()
    choices: dict[BodyPart, CodeSelection] = field(default_factory=dict)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    global_zeroed: tuple[str, ...] = ("translation",)
    encoders: bool = True
    homing_s: float = 0.0
    front_end: FrontEnd = FrontEnd.FEATURES
    offline: Schedule = OFFLINE
    gated: bool = True
    still_seeds: bool = False
    seed_motion: SeedMotion = SeedMotion.RAW
    global_orthonormal: bool = False
    instant_words: bool = False
    blinks: BlinkConfig | None = None
    glances: GlanceConfig | None = None
    sway: SwayConfig | None = None
    steady: SteadyConfig | None = None
    posture: PostureConfig | None = None
    stance: StanceConfig | None = None

    def __post_init__(self) -> None:
        require(set(self.parts) == set(BodyPart), "parts", "all four", sorted(self.parts))
        require(len(self.speakers) == self.gesture.speakers, "speakers", "one name each", "other")
        require(self.homing_s >= 0.0, "homing_s", "0 or more", self.homing_s)
        words = len(set(self.vocabulary)) == len(self.vocabulary)
        require(words, "vocabulary", "words that differ", "one of them twice")
        gates = self.front_end is FrontEnd.FEATURES or not self.gated
        require(gates, "gated", "false for a network that hears samples", self.gated)
        basis = face_basis(self.face)
        self.finish.require_face(basis)
        strangers = [] if self.sway is None else [*{*self.sway.speakers} - {*self.speakers}]
        require(not strangers, "sway.speakers", f"of {', '.join(self.speakers)}", strangers)

    @property
    def finish(self) -> PostProcessConfig:
        """What is done to poses as they go out."""
        return PostProcessConfig(
            *(self.steady, self.sway, self.glances, self.blinks, self.posture, self.stance)
        )

    def new_postprocess(self, speaker: int, seed: int) -> PostProcess:
        """The same for a new stream of one of the speakers."""
        return PostProcess(self.finish, self.pose_format, seed, self.speakers[speaker])

    @property
    def pose_format(self) -> PoseFormat:
        """What the poses of this bundle mean."""
        return PoseFormat(
            clock=self.clock, face=face_basis(self.face), hand_reference=self.hand_reference
        )
