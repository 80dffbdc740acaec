"""Configuration of a bundle: everything but the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES, FeatureConfig
from engine.config.model import FrontEnd, GestureConfig, PartVaeConfig, RootModelConfig
from engine.config.serialize import require
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import OFFLINE, Schedule
from engine.generate.state import SeedRoot
from engine.motion.face_basis import face_basis
from engine.motion.pose import HandReference, PoseFormat
from engine.motion.skeleton import BodyPart
from engine.postprocess.chain import PostProcess, PostProcessConfig


@dataclass(frozen=True)
class Provenance:
    """Origin and licence of the weights.

    Attributes:
        licence: licence of the weights.
        data: training data, with their licences.
        command: command that produced the weights.
        notes: further remarks.

    """

    licence: str
    data: tuple[str, ...]
    command: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleConfig:
    """Contents of `bundle.json`. Raises ConfigError for values that contradict each other.

    Attributes:
        name: name of the bundle.
        gesture: gesture transformer.
        parts: VQ-VAE of each body part.
        root_model: network of the root motion.
        provenance: origin and licence of the weights.
        features: audio features; used if `front_end` is FEATURES.
        vocabulary: words of the embedding table, in the order of its rows.
        speakers: name of each speaker.
        face: face basis: flame100, arkit51 or arkit52.
        hand_reference: hand pose to which finger rotations are relative.
        clock: sample rate, Hz, and frame rate, frames/s.
        schedule: windows of live streams.
        trained_schedules: schedules used in training; empty if unknown.
        code_selection: selection of each part's codes; argmax_or_sample for parts not listed.
        sampling: sampling of codes from class scores.
        include_encoders: true if the weights contain the VQ-VAEs' encoders; streams need none.
        recenter_time_s: time constant of root recentering, seconds; 0 disables it.
        front_end: conversion of the audio into the network's input.
        file_schedule: windows for whole files.
        mute_unvoiced: true if audio is replaced by silence while the voice gate is closed.
        seed_from_identity: true if the first seed is identity rotations at the origin, as in the
            reference implementation; false for the rest pose.
        seed_root: root channels of the seeds.
        instant_words: true if a frame's word is the one spoken at the frame's first instant, as in
            the reference implementation of 2024; false for any word within the frame.
        postprocess: post-processing of poses.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "global_motion": "root_model",
        "trained_for": "trained_schedules",
        "choices": "code_selection",
        "global_zeroed": "root_model.masked_fields",
        "global_orthonormal": "root_model.orthonormalize",
        "encoders": "include_encoders",
        "homing_s": "recenter_time_s",
        "offline": "file_schedule",
        "gated": "mute_unvoiced",
        "still_seeds": "seed_from_identity",
        "seed_motion": "seed_root",
        "steady": "postprocess.one_euro",
        "posture": "postprocess.posture",
        "stance": "postprocess.stance",
        "sway": "postprocess.idle",
        "glances": "postprocess.gaze",
        "blinks": "postprocess.blinks",
    }

    name: str
    gesture: GestureConfig
    parts: dict[BodyPart, PartVaeConfig]
    root_model: RootModelConfig
    provenance: Provenance
    features: FeatureConfig = DEFAULT_FEATURES
    vocabulary: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ("default",)
    face: str = "arkit51"
    hand_reference: HandReference = HandReference.FLAT
    clock: FrameClock = field(default_factory=FrameClock)
    schedule: Schedule = field(default_factory=Schedule)
    trained_schedules: tuple[Schedule, ...] = ()
    code_selection: dict[BodyPart, CodeSelection] = field(default_factory=dict)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    include_encoders: bool = True
    recenter_time_s: float = 0.0
    front_end: FrontEnd = FrontEnd.FEATURES
    file_schedule: Schedule = OFFLINE
    mute_unvoiced: bool = True
    seed_from_identity: bool = False
    seed_root: SeedRoot = SeedRoot.VELOCITY
    instant_words: bool = False
    postprocess: PostProcessConfig = field(default_factory=PostProcessConfig)

    def __post_init__(self) -> None:
        require(set(self.parts) == set(BodyPart), "parts", "all four", sorted(self.parts))
        named = len(self.speakers) == self.gesture.speakers
        require(named, "speakers", f"{self.gesture.speakers} names", self.speakers)
        require(self.recenter_time_s >= 0.0, "recenter_time_s", "0 or more", self.recenter_time_s)
        distinct = len(set(self.vocabulary)) == len(self.vocabulary)
        require(distinct, "vocabulary", "distinct words", "a word twice")
        mutes = self.front_end is FrontEnd.FEATURES or not self.mute_unvoiced
        expected = "false for a network whose input is samples"
        require(mutes, "mute_unvoiced", expected, self.mute_unvoiced)
        self.postprocess.require_face(face_basis(self.face))
        idle = self.postprocess.idle
        unknown = [] if idle is None else [*{*idle.speakers} - {*self.speakers}]
        place = "postprocess.idle.speakers"
        require(not unknown, place, f"of {', '.join(self.speakers)}", unknown)

    def new_postprocess(self, speaker: int, seed: int) -> PostProcess:
        """Create the post-processing chain of a new stream of the speaker with this index."""
        return PostProcess(self.postprocess, self.pose_format, seed, self.speakers[speaker])

    @property
    def pose_format(self) -> PoseFormat:
        """Clock, face basis and hand reference of this bundle's poses."""
        return PoseFormat(
            clock=self.clock, face=face_basis(self.face), hand_reference=self.hand_reference
        )
