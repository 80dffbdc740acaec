"""Windows for the gesture transformer: what is heard, said, seen and to be predicted, by frames.

Everything is computed once for whole takes (causal features in several loudnesses, codes and
latents of the part autoencoders, motion as the decoders give it back), then windows are cut at
random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.audio.features import DEFAULT_FEATURES, FeatureExtractor
from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.layout import MOTION
from engine.model.part_vae import PartVae
from engine.pose import Motion
from engine.rotation import from_sixd, to_sixd
from engine.skeleton import BodyPart
from engine.text.words import Transcript, Vocabulary
from training.parallel import in_order
from training.scaling import Scaling, scaling_of
from training.takes import Missing, TakeFile, read_take
from training.vectors import join_parts, motion_vector, part_vector

CLOCK = FrameClock()
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class TakeData:
    """One take by frames. audio `[G, T, F]` (variant 0 is clean), words `[T]`, vectors `[T, 337]`
    of the motion; stressed: seconds; silent: nobody speaks; missing: what is not to be learned.
    """

    name: str
    voice: str
    audio: np.ndarray
    words: np.ndarray
    motion: Motion
    vectors: np.ndarray
    stressed: np.ndarray
    silent: bool
    missing: tuple[Missing, ...] = ()


def _worn(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound through another microphone: level, tilt of the spectrum, noise."""
    x = samples * 10 ** (rng.uniform(-10, 10) / 20)
    tilt = rng.uniform(-0.6, 0.6)
    x = x + tilt * np.concatenate([[0.0], x[:-1]])
    noise = rng.standard_normal(len(x)) * 10 ** (rng.uniform(-85, -50) / 20)
    return np.clip(x + noise, -1, 1).astype(np.float32)


def _features(job: tuple[Path, int, int]) -> np.ndarray:
    path, variants, seed = job
    with np.load(path) as file:
        samples = file["audio"].astype(np.float32) / 32768
        frames = len(file["face"])
        clock = FrameClock(frame_rate=int(file["fps"])) if "fps" in file else CLOCK
    rng = np.random.default_rng(seed)
    extractor = FeatureExtractor(DEFAULT_FEATURES, clock)
    result = []
    for variant in range(variants):
        extractor.reset()
        sound = samples if variant == 0 else _worn(samples, rng)
        feats = extractor.feed(np.concatenate([sound, np.zeros(2000, np.float32)]))
        result.append(feats[:frames])
    return np.stack(result)


def features_of(paths: Sequence[Path], variants: int, workers: int = 2) -> list[np.ndarray]:
    """Audio features `[G, T, F]` of takes, kept beside them in `features/`."""
    cache = paths[0].parent / "features"
    cache.mkdir(exist_ok=True)
    stored = [cache / f"{path.stem}_{DEFAULT_FEATURES.name}_{variants}.npy" for path in paths]
    todo = [i for i, file in enumerate(stored) if not file.is_file()]
    jobs = [(paths[i], variants, 1000 + i) for i in todo]
    for i, feats in zip(todo, in_order(_features, jobs, workers), strict=True):
        np.save(stored[i], feats.astype(np.float16))
    return [np.load(file) for file in stored]


def load_takes(
    folder: Path, split: str, vocabulary: Vocabulary, variants: int, limit: int | None = None
) -> list[TakeData]:
    """The takes of one split of a corpus; ConfigError where there is none."""
    if not (folder / "corpus.json").is_file():
        raise ConfigError(f"expected a corpus in {folder}; run the stage compose first")
    named: list[tuple[Path, TakeFile]] = []
    for path in sorted(folder.glob(f"{split}_*.npz")):
        take = read_take(path)
        # A take without sound would teach that gestures come from silence.
        if Missing.SOUND not in take.missing and (limit is None or len(named) < limit):
            named.append((path, replace(take, sound=_NOTHING)))
    if not named:
        raise ConfigError(f"expected takes {split}_*.npz with sound in {folder}, found none")
    if len(formats := {take.motion.format for _, take in named}) > 1:
        raise ConfigError(f"takes of one corpus must be of one format, {folder} has {len(formats)}")
    features = features_of([path for path, _ in named], variants)
    return [
        _by_frames(path.stem, take, audio, vocabulary)
        for (path, take), audio in zip(named, features, strict=True)
    ]


def _by_frames(name: str, take: TakeFile, audio: np.ndarray, vocabulary: Vocabulary) -> TakeData:
    transcript = Transcript()
    transcript.add(take.words)
    return TakeData(
        name=name,
        voice=take.voice,
        audio=audio,
        words=transcript.ids(vocabulary, take.clock, 0, len(take.motion)),
        motion=take.motion,
        vectors=motion_vector(take.motion),
        stressed=take.stressed_times.astype(float),
        silent=take.voice == "silence",
        missing=take.missing,
    )


class Encoded(NamedTuple):
    """codes `[T, P]`, latents `[T, P, D]`, motion `[T, 337]` as the decoders give it back."""

    codes: Tensor
    latents: Tensor
    motion: Tensor


@torch.inference_mode()
def encode_take(take: TakeData, parts: Mapping[BodyPart, PartVae]) -> Encoded:
    """Run a take through the part autoencoders."""
    codes, latents, decoded = [], [], {}
    for part in BodyPart:
        vae = parts[part]
        latent = vae.encode(torch.from_numpy(part_vector(part, take.motion))[None])
        code = vae.nearest(latent)
        codes.append(code[0])
        latents.append(latent[0])
        decoded[part] = vae.decode_codes(code)[0].numpy()
    motion = torch.from_numpy(join_parts(decoded)[0])
    where = MOTION.slice("rot6d")
    sixd = motion[:, where].reshape(len(motion), -1, 6)
    motion[:, where] = to_sixd(from_sixd(sixd)).flatten(1)
    return Encoded(torch.stack(codes, 1), torch.stack(latents, 1), motion)


NO_STRESS = 99  # frames: long enough ago to be forgotten


def since_stress(take: TakeData) -> np.ndarray:
    """Frames `[T]` since the onset of the last stressed vowel, at most NO_STRESS."""
    since = np.full(len(take.motion), NO_STRESS, np.int64)
    for at in take.stressed:
        first = take.motion.format.clock.frame_at_time(at)
        count = len(since) - first
        since[first:] = np.minimum(np.arange(count), NO_STRESS)
    return since


class Batch(NamedTuple):
    """B windows: audio `[B, T, F]`, words `[B, T]`, motion `[B, T, 337]`, codes `[B, T, P]`,
    latents `[B, T, P, D]`, since `[B, T]` frames since the last stress, known `[B, T, P]` bool:
    parts that were recorded and are to be learned.
    """

    audio: Tensor
    words: Tensor
    motion: Tensor
    codes: Tensor
    latents: Tensor
    since: Tensor
    known: Tensor


def known_parts(take: TakeData) -> Tensor:
    """Which parts `[T, P]` a take recorded, bool."""
    lacking = {str(part) for part in take.missing}
    return torch.tensor([str(part) not in lacking for part in BodyPart]).repeat(len(take.motion), 1)


def _window_starts(takes: Sequence[TakeData], window: int, *, silent: bool) -> Tensor:
    """Where whole windows begin in the joined takes that are silent, or in those that are not."""
    starts, offset = [torch.zeros(0, dtype=torch.int64)], 0
    for take in takes:
        if take.silent == silent:
            starts.append(torch.arange(offset, max(offset, offset + len(take.motion) - window)))
        offset += len(take.motion)
    return torch.cat(starts)


class GestureWindows:
    """All takes of a split, one after the other, and windows of them drawn at random."""

    def __init__(
        self, takes: Sequence[TakeData], parts: Mapping[BodyPart, PartVae], window: int
    ) -> None:
        encoded = [encode_take(take, parts) for take in takes]
        self._audio = torch.from_numpy(np.concatenate([t.audio for t in takes], 1))
        self._words = torch.from_numpy(np.concatenate([t.words for t in takes]))
        true = torch.from_numpy(np.concatenate([t.vectors for t in takes])).half()
        self._motion = torch.stack([true, torch.cat([e.motion for e in encoded]).half()])
        self._codes = torch.cat([e.codes for e in encoded])
        self._latents = torch.cat([e.latents for e in encoded]).half()
        self._since = torch.from_numpy(np.concatenate([since_stress(t) for t in takes]))
        self._known = torch.cat([known_parts(take) for take in takes])
        self._window = window
        self._starts, self._quiet = (
            _window_starts(takes, window, silent=silent) for silent in (False, True)
        )
        if not len(self._starts):
            raise ConfigError(f"no take with speech is longer than a window of {window} frames")

    @property
    def frames(self) -> int:
        """Frames of all takes."""
        return self._motion.shape[1]

    @property
    def width(self) -> int:
        """Channels of the motion."""
        return self._motion.shape[-1]

    @cached_property
    def scaling(self) -> Scaling:
        """The scales of the motion's channels."""
        return scaling_of(self._motion[1, :: max(1, self._motion.shape[1] // 20000)].float())

    @cached_property
    def latent_scale(self) -> Tensor:
        """Mean square `[P]` of each part's latents about their mean: to weigh errors evenly."""
        every = slice(None, None, max(1, len(self._latents) // 20000))
        sample, known = self._latents[every].float(), self._known[every, :, None]
        count = known.sum(0).clamp(min=1)
        away = (sample - (sample * known).sum(0) / count) * known
        return (away.square().sum(0) / count).mean(-1).clamp(min=1e-6)

    def draw(
        self, rows: int, generator: torch.Generator, *, silence: float, wordless: float, true: float
    ) -> Batch:
        """Windows; `silence`: share in which nobody speaks, `wordless`: share without words,
        `true`: share whose motion is the original instead of the decoded one.
        """
        quiet = torch.rand(rows, generator=generator) < silence
        spoken = self._starts[torch.randint(len(self._starts), (rows,), generator=generator)]
        # Recorded corpora have no takes in which nobody speaks.
        silent = self._quiet if len(self._quiet) else self._starts
        still = silent[torch.randint(len(silent), (rows,), generator=generator)]
        index = torch.where(quiet, still, spoken)[:, None] + torch.arange(self._window)
        variant = torch.randint(len(self._audio), (rows,), generator=generator)[:, None]
        source = (torch.rand(rows, generator=generator) >= true).long()[:, None]
        words = self._words[index].clone()
        words[torch.rand(rows, generator=generator) < wordless] = 0
        return Batch(
            self._audio[variant, index].float(),
            words,
            self._motion[source, index].float(),
            self._codes[index],
            self._latents[index].float(),
            self._since[index],
            self._known[index],
        )
