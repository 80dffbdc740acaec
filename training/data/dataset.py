"""Windows for the gesture transformer: what is heard, said, seen and to be predicted, by frames.

Everything is computed once for whole takes (causal features in several loudnesses, codes and
latents of the part autoencoders, motion as the decoders give it back), then windows are cut at
random.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from engine.audio.features import FeatureExtractor
from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES
from engine.errors import ConfigError
from engine.model.part_vae import PartVae
from engine.motion.channels import MOTION
from engine.motion.pose import Motion
from engine.motion.rotation import from_sixd, to_sixd
from engine.motion.skeleton import BodyPart
from engine.system.atomic import atomic
from engine.text.words import Transcript, Vocabulary
from training.data.audio_augment import worn
from training.data.memmap import Rows, in_memory, mapped
from training.data.normalize import Scaling, scaling_of
from training.data.parallel import in_order
from training.data.takes import Missing, TakeFile, read_heading, read_take
from training.data.vectors import join_parts, motion_vector, part_vector

CLOCK = FrameClock()
_NOTHING = np.zeros(0, np.float32)
_WEAR_VERSION = 2  # of what is done to sound: features of another one are made anew


@dataclass(frozen=True)
class TakeData:
    """One take by frames. audio `[G, T, F]` (variant 0 is clean), words `[T]`, vectors `[T, 337]`
    of the motion; stressed: seconds, kinds: of each one's gesture (0: not known); silent: nobody
    speaks; missing: what is not to be learned; speaker: the number of who moves.
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
    speaker: int = 0
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


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
        sound = samples if variant == 0 else worn(samples, rng)
        feats = extractor.feed(np.concatenate([sound, np.zeros(2000, np.float32)]))
        result.append(feats[:frames])
    return np.stack(result)


def _stamp(path: Path) -> str:
    """Changes whenever a take's sound, frame rate or number of frames does; reads no samples."""
    with zipfile.ZipFile(path) as archive:
        parts = {item.filename: item for item in archive.infolist()}
    sound, rate, face = (parts.get(f"{name}.npy") for name in ("audio", "fps", "face"))
    state = [p and (p.CRC, p.file_size) for p in (sound, rate)] + [face and face.file_size]
    return f"{zlib.crc32(repr((_WEAR_VERSION, state)).encode()):08x}"


def features_of(paths: Sequence[Path], variants: int, workers: int = 2) -> list[np.ndarray]:
    """Audio features `[G, T, F]` of takes, kept beside them in `features/` while the sound is."""
    cache = paths[0].parent / "features"
    cache.mkdir(exist_ok=True)
    names = [f"{path.stem}_{DEFAULT_FEATURES.name}_{variants}" for path in paths]
    stored = [cache / f"{name}_{_stamp(path)}.npy" for name, path in zip(names, paths, strict=True)]
    todo = [i for i, file in enumerate(stored) if not file.is_file()]
    jobs = [(paths[i], variants, 1000 + i) for i in todo]
    for i, feats in zip(todo, in_order(_features, jobs, workers), strict=True):
        for stale in cache.glob(f"{names[i]}_*.npy"):
            stale.unlink()
        with atomic(stored[i]) as part:
            np.save(part, feats.astype(np.float16))
    return [np.load(file, mmap_mode="r") for file in stored]


class Takes(Sequence[TakeData]):
    """Takes of a corpus that are read when they are asked for: all of them need not fit at once.

    speakers: names in the order of their numbers; whoever is not among them has the first one's.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        features: Sequence[np.ndarray],
        vocabulary: Vocabulary,
        speakers: Sequence[str] = (),
    ) -> None:
        self.paths = tuple(paths)
        self.vocabulary = vocabulary
        self.speakers = tuple(speakers)
        self._features = features

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> TakeData: ...

    @overload
    def __getitem__(self, index: slice) -> "Takes": ...

    def __getitem__(self, index: int | slice) -> "TakeData | Takes":
        if isinstance(index, slice):
            features = self._features[index]
            return Takes(self.paths[index], features, self.vocabulary, self.speakers)
        path = self.paths[index]
        take = replace(read_take(path), sound=_NOTHING)
        number = self.speakers.index(take.speaker) if take.speaker in self.speakers else 0
        frames = _by_frames(path.stem, take, self._features[index], self.vocabulary)
        return replace(frames, speaker=number)


def find_speakers(folder: Path, split: str = "train") -> list[str]:
    """Who moves in the takes of a split, whoever has most of them first."""
    named = (read_heading(path).speaker for path in sorted(folder.glob(f"{split}_*.npz")))
    return [name for name, _ in Counter(name for name in named if name).most_common()]


def find_takes(
    folder: Path,
    split: str,
    vocabulary: Vocabulary,
    variants: int,
    limit: int | None = None,
    speakers: Sequence[str] = (),
) -> Takes:
    """The takes of one split of a corpus, with their features; ConfigError where there is none."""
    if not (folder / "corpus.json").is_file():
        raise ConfigError(f"expected a corpus in {folder}; run the stage compose first")
    headings = [(path, read_heading(path)) for path in sorted(folder.glob(f"{split}_*.npz"))]
    # A take without sound would teach that gestures come from silence.
    heard = [(path, heading) for path, heading in headings if Missing.SOUND not in heading.missing]
    heard = heard[:limit]
    if not heard:
        raise ConfigError(f"expected takes {split}_*.npz with sound in {folder}, found none")
    if len(formats := {heading.format for _, heading in heard}) > 1:
        raise ConfigError(f"takes of one corpus must be of one format, {folder} has {len(formats)}")
    paths = [path for path, _ in heard]
    return Takes(paths, features_of(paths, variants), vocabulary, speakers)


def load_takes(
    folder: Path, split: str, vocabulary: Vocabulary, variants: int, limit: int | None = None
) -> list[TakeData]:
    """The same, all of them in memory."""
    return list(find_takes(folder, split, vocabulary, variants, limit))


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
        kinds=take.stressed_kinds,
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


def until_stress(take: TakeData) -> np.ndarray:
    """Frames `[T]` until the onset of the next stressed vowel, at most NO_STRESS."""
    until = np.full(len(take.motion), NO_STRESS, np.int64)
    for at in take.stressed:
        onset = min(take.motion.format.clock.frame_at_time(at), len(until))
        until[:onset] = np.minimum(until[:onset], np.arange(onset, 0, -1))
    return until


def kinds_asked(take: TakeData) -> np.ndarray:
    """The kind of gesture `[T]` of the last stress; 0 where there was none, or none is known."""
    kinds = np.zeros(len(take.motion), np.int64)
    for at, kind in zip(take.stressed, take.kinds, strict=False):
        kinds[take.motion.format.clock.frame_at_time(at) :] = kind
    return kinds


class Batch(NamedTuple):
    """B windows: audio `[B, T, F]`, words `[B, T]`, motion `[B, T, 337]`, codes `[B, T, P]`,
    latents `[B, T, P, D]`, since `[B, T]` frames since the last stress, known `[B, T, P]` bool:
    parts that were recorded and are to be learned, speaker `[B, T]` its number, kind `[B, T]` of
    the gesture of the last stress, until `[B, T]` frames until the next stress.
    """

    audio: Tensor
    words: Tensor
    motion: Tensor
    codes: Tensor
    latents: Tensor
    since: Tensor
    known: Tensor
    speaker: Tensor
    kind: Tensor
    until: Tensor


def known_parts(take: TakeData) -> Tensor:
    """Which parts `[T, P]` a take recorded, bool."""
    lacking = {str(part) for part in take.missing}
    return torch.tensor([str(part) not in lacking for part in BodyPart]).repeat(len(take.motion), 1)


def rows_of(take: TakeData, parts: Mapping[BodyPart, PartVae]) -> dict[str, np.ndarray]:
    """What windows are cut from: arrays `[T, ...]` of one take, motion first true, then decoded."""
    encoded = encode_take(take, parts)
    both = torch.stack([torch.from_numpy(take.vectors), encoded.motion], 1)
    return {
        "audio": np.moveaxis(take.audio, 0, 1),
        "words": take.words,
        "motion": both.half().numpy(),
        "codes": encoded.codes.numpy(),
        "latents": encoded.latents.half().numpy(),
        "since": since_stress(take),
        "known": known_parts(take).numpy(),
        "speaker": np.full(len(take.motion), take.speaker, np.int64),
        "kind": kinds_asked(take),
        "until": until_stress(take),
    }


_SILENT, _SPOKEN = "silent", "spoken"


def _window_starts(rows: Rows, window: int, label: str) -> Tensor:
    """Where whole windows begin in the joined takes of one label."""
    starts, offset = [torch.zeros(0, dtype=torch.int64)], 0
    for length, own in zip(rows.lengths, rows.labels, strict=True):
        if own == label:
            starts.append(torch.arange(offset, max(offset, offset + length - window)))
        offset += length
    return torch.cat(starts)


class GestureWindows:
    """All takes of a split, one after the other, and windows of them drawn at random.

    folder: where the rows are kept in files instead of memory, to be found again by their `key`.
    """

    def __init__(
        self,
        takes: Sequence[TakeData],
        parts: Mapping[BodyPart, PartVae],
        window: int,
        folder: Path | None = None,
        key: str = "",
    ) -> None:
        made = ((_SILENT if t.silent else _SPOKEN, rows_of(t, parts)) for t in takes)
        rows = in_memory(made) if folder is None else mapped(made, folder, key)
        self._audio, self._words = rows.kinds["audio"], rows.kinds["words"]
        self._motion, self._codes = rows.kinds["motion"], rows.kinds["codes"]
        self._latents, self._since = rows.kinds["latents"], rows.kinds["since"]
        self._known, self._speaker = rows.kinds["known"], rows.kinds["speaker"]
        self._kind, self._until = rows.kinds["kind"], rows.kinds["until"]
        self._window = window
        self._starts, self._quiet = (
            _window_starts(rows, window, label) for label in (_SPOKEN, _SILENT)
        )
        if not len(self._starts):
            raise ConfigError(f"no take with speech is longer than a window of {window} frames")

    @property
    def frames(self) -> int:
        """Frames of all takes."""
        return len(self._motion)

    @property
    def width(self) -> int:
        """Channels of the motion."""
        return self._motion.shape[-1]

    @cached_property
    def scaling(self) -> Scaling:
        """The scales of the motion's channels."""
        return scaling_of(self._motion[:: max(1, len(self._motion) // 20000), 1].float())

    @cached_property
    def audio_spread(self) -> Tensor:
        """Standard deviation `[F]` of each speech feature."""
        every = slice(None, None, max(1, len(self._audio) // 20000))
        return self._audio[every, 0].float().std(0).clamp(min=1e-3)

    @cached_property
    def latent_scale(self) -> Tensor:
        """Mean square `[P]` of each part's latents about their mean: to weigh errors evenly."""
        every = slice(None, None, max(1, len(self._latents) // 20000))
        sample, known = self._latents[every].float(), self._known[every, :, None]
        count = known.sum(0).clamp(min=1)
        away = (sample - (sample * known).sum(0) / count) * known
        return (away.square().sum(0) / count).mean(-1).clamp(min=1e-6)

    def draw(
        self,
        rows: int,
        generator: torch.Generator,
        *,
        silence: float,
        word_dropout: float,
        true: float,
    ) -> Batch:
        """Windows: shares without speech, without words, and with the recorded motion."""
        quiet = torch.rand(rows, generator=generator) < silence
        spoken = self._starts[torch.randint(len(self._starts), (rows,), generator=generator)]
        # Recorded corpora have no takes in which nobody speaks.
        silent = self._quiet if len(self._quiet) else self._starts
        still = silent[torch.randint(len(silent), (rows,), generator=generator)]
        index = torch.where(quiet, still, spoken)[:, None] + torch.arange(self._window)
        variant = torch.randint(self._audio.shape[1], (rows,), generator=generator)[:, None]
        source = (torch.rand(rows, generator=generator) >= true).long()[:, None]
        words = self._words[index].clone()
        words[torch.rand(rows, generator=generator) < word_dropout] = 0
        return Batch(
            self._audio[index, variant].float(),
            words,
            self._motion[index, source].float(),
            self._codes[index],
            self._latents[index].float(),
            self._since[index],
            self._known[index],
            self._speaker[index],
            self._kind[index],
            self._until[index],
        )
