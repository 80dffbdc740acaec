"""Windows for the training of the gesture transformer, cut from encoded takes.

Features of all audio variants, codes and latents of the part autoencoders, and their reconstruction
of the motion are computed once per take; windows are then cut at random.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.model.part_vae import PartVae
from engine.motion.channels import MOTION
from engine.motion.pose import Motion
from engine.motion.rotation import from_sixd, to_sixd
from engine.motion.skeleton import BodyPart
from engine.text.words import Transcript, Vocabulary
from training.data.features import features_of
from training.data.memmap import Rows, concatenate_rows, map_rows
from training.data.normalize import Scaling, scaling_of
from training.data.takes import Missing, TakeFile, read_heading, read_take
from training.data.vectors import join_parts, motion_vector, part_vector

CLOCK = FrameClock()
_EMPTY = np.zeros(0, np.float32)


@dataclass(frozen=True)
class TakeData:
    """One take by frames.

    Attributes:
        name: stem of its file.
        voice: name of the voice.
        audio: features `[G, T, F]` of all variants; the first is clean.
        words: word indices `[T]`.
        motion: the motion.
        vectors: motion vectors `[T, 337]`.
        stressed: onsets `[K]` of stressed vowels, seconds.
        silent: no one speaks.
        missing: components that are excluded from the losses.
        speaker: index of the person who moves.
        kinds: gesture class `[K]` of each stress; 0: unknown.

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


class Takes(Sequence[TakeData]):
    """Takes of a corpus, read on access, because a corpus may exceed the memory.

    speakers: names in the order of their indices; unknown speakers get index 0.
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
        take = replace(read_take(path), sound=_EMPTY)
        number = self.speakers.index(take.speaker) if take.speaker in self.speakers else 0
        frames = _by_frames(path.stem, take, self._features[index], self.vocabulary)
        return replace(frames, speaker=number)


def find_speakers(folder: Path, split: str = "train") -> list[str]:
    """Names of the speakers of a split, by decreasing number of takes."""
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
    """Takes with sound of one split of a corpus; ConfigError if there are none."""
    if not (folder / "corpus.json").is_file():
        raise ConfigError(f"expected a corpus in {folder}; run the stage compose first")
    headings = [(path, read_heading(path)) for path in sorted(folder.glob(f"{split}_*.npz"))]
    # Takes without sound would pair gestures with silence.
    audible = [each for each in headings if Missing.SOUND not in each[1].missing][:limit]
    if not audible:
        raise ConfigError(f"expected takes {split}_*.npz with sound in {folder}, found none")
    if len(formats := {heading.format for _, heading in audible}) > 1:
        raise ConfigError(f"takes of one corpus must be of one format, {folder} has {len(formats)}")
    paths = [path for path, _ in audible]
    return Takes(paths, features_of(paths, variants), vocabulary, speakers)


def load_takes(
    folder: Path, split: str, vocabulary: Vocabulary, variants: int, limit: int | None = None
) -> list[TakeData]:
    """List of `find_takes`."""
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
    """Codes `[T, P]`, latents `[T, P, D]` and reconstructed motion `[T, 337]` of a take."""

    codes: Tensor
    latents: Tensor
    motion: Tensor


@torch.inference_mode()
def encode_take(take: TakeData, parts: Mapping[BodyPart, PartVae]) -> Encoded:
    """Encode and reconstruct a take by the part autoencoders."""
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


NO_STRESS = 99  # frames; beyond all spans that the losses use


def frames_since_stress(take: TakeData) -> np.ndarray:
    """Frames `[T]` since the onset of the last stressed vowel, at most NO_STRESS."""
    since = np.full(len(take.motion), NO_STRESS, np.int64)
    for at in take.stressed:
        first = take.motion.format.clock.frame_at_time(at)
        count = len(since) - first
        since[first:] = np.minimum(np.arange(count), NO_STRESS)
    return since


def frames_until_stress(take: TakeData) -> np.ndarray:
    """Frames `[T]` until the onset of the next stressed vowel, at most NO_STRESS."""
    until = np.full(len(take.motion), NO_STRESS, np.int64)
    for at in take.stressed:
        onset = min(take.motion.format.clock.frame_at_time(at), len(until))
        until[:onset] = np.minimum(until[:onset], np.arange(onset, 0, -1))
    return until


def gesture_classes(take: TakeData) -> np.ndarray:
    """Gesture class `[T]` of the last stress; 0 before the first one and if unknown."""
    kinds = np.zeros(len(take.motion), np.int64)
    for at, kind in zip(take.stressed, take.kinds, strict=False):
        kinds[take.motion.format.clock.frame_at_time(at) :] = kind
    return kinds


class Batch(NamedTuple):
    """B windows.

    Attributes:
        audio: features `[B, T, F]`.
        words: word indices `[B, T]`.
        motion: motion vectors `[B, T, 337]`.
        codes: codes `[B, T, P]` of the parts.
        latents: latents `[B, T, P, D]` of the parts.
        frames_since_stress: frames `[B, T]` since the onset of the last stressed vowel.
        valid_parts: parts `[B, T, P]` that were recorded, bool.
        speaker: index `[B, T]` of the speaker.
        gesture_class: class `[B, T]` of the last stress; 0: none.
        frames_until_stress: frames `[B, T]` until the onset of the next stressed vowel.

    """

    audio: Tensor
    words: Tensor
    motion: Tensor
    codes: Tensor
    latents: Tensor
    frames_since_stress: Tensor
    valid_parts: Tensor
    speaker: Tensor
    gesture_class: Tensor
    frames_until_stress: Tensor


def valid_parts(take: TakeData) -> Tensor:
    """Parts `[T, P]` that a take recorded, bool."""
    lacking = {str(part) for part in take.missing}
    return torch.tensor([str(part) not in lacking for part in BodyPart]).repeat(len(take.motion), 1)


def take_rows(take: TakeData, parts: Mapping[BodyPart, PartVae]) -> dict[str, np.ndarray]:
    """Arrays `[T, ...]` of one take by field of `Batch`; motion `[T, 2, 337]`: true, decoded."""
    encoded = encode_take(take, parts)
    both = torch.stack([torch.from_numpy(take.vectors), encoded.motion], 1)
    return {
        "audio": np.moveaxis(take.audio, 0, 1),
        "words": take.words,
        "motion": both.half().numpy(),
        "codes": encoded.codes.numpy(),
        "latents": encoded.latents.half().numpy(),
        "frames_since_stress": frames_since_stress(take),
        "valid_parts": valid_parts(take).numpy(),
        "speaker": np.full(len(take.motion), take.speaker, np.int64),
        "gesture_class": gesture_classes(take),
        "frames_until_stress": frames_until_stress(take),
    }


_SILENT, _SPOKEN = "silent", "spoken"


def _window_starts(rows: Rows, window: int, label: str) -> Tensor:
    """First rows of all windows within takes of one label."""
    starts, offset = [torch.zeros(0, dtype=torch.int64)], 0
    for length, own_label in zip(rows.lengths, rows.labels, strict=True):
        if own_label == label:
            starts.append(torch.arange(offset, max(offset, offset + length - window)))
        offset += length
    return torch.cat(starts)


class GestureWindows:
    """Random windows of the concatenated takes of a split.

    folder: keep the rows in files there instead of in memory; reused if `key` matches.
    """

    def __init__(
        self,
        takes: Sequence[TakeData],
        parts: Mapping[BodyPart, PartVae],
        window: int,
        folder: Path | None = None,
        key: str = "",
    ) -> None:
        labelled = ((_SILENT if t.silent else _SPOKEN, take_rows(t, parts)) for t in takes)
        rows = concatenate_rows(labelled) if folder is None else map_rows(labelled, folder, key)
        self._rows = rows.arrays
        self._window = window
        self._starts, self._silent = (
            _window_starts(rows, window, label) for label in (_SPOKEN, _SILENT)
        )
        if not len(self._starts):
            raise ConfigError(f"no take with speech is longer than a window of {window} frames")

    @property
    def frames(self) -> int:
        """Number of frames of all takes."""
        return len(self._rows["motion"])

    @property
    def width(self) -> int:
        """Number of motion channels."""
        return self._rows["motion"].shape[-1]

    @cached_property
    def scaling(self) -> Scaling:
        """Scaling of the decoded motion."""
        return scaling_of(self._sample("motion")[:, 1].float())

    @cached_property
    def audio_spread(self) -> Tensor:
        """Standard deviation `[F]` of each speech feature."""
        return self._sample("audio")[:, 0].float().std(0).clamp(min=1e-3)

    @cached_property
    def latent_scale(self) -> Tensor:
        """Variance `[P]` of each part's latents, to weight their errors equally."""
        sample, valid = self._sample("latents").float(), self._sample("valid_parts")[..., None]
        count = valid.sum(0).clamp(min=1)
        deviation = (sample - (sample * valid).sum(0) / count) * valid
        return (deviation.square().sum(0) / count).mean(-1).clamp(min=1e-6)

    def draw(
        self,
        rows: int,
        generator: torch.Generator,
        *,
        silent_fraction: float,
        word_dropout: float,
        ground_truth_fraction: float,
    ) -> Batch:
        """Draw windows, with the given shares without speech, without words, with true motion."""
        quiet = torch.rand(rows, generator=generator) < silent_fraction
        spoken = self._starts[torch.randint(len(self._starts), (rows,), generator=generator)]
        # Recorded corpora have no silent takes.
        silent = self._silent if len(self._silent) else self._starts
        still = silent[torch.randint(len(silent), (rows,), generator=generator)]
        index = torch.where(quiet, still, spoken)[:, None] + torch.arange(self._window)
        arrays = self._rows
        variant = torch.randint(arrays["audio"].shape[1], (rows,), generator=generator)[:, None]
        decoded = torch.rand(rows, generator=generator) >= ground_truth_fraction
        words = arrays["words"][index]
        words[torch.rand(rows, generator=generator) < word_dropout] = 0
        return Batch(
            arrays["audio"][index, variant].float(),
            words,
            arrays["motion"][index, decoded.long()[:, None]].float(),
            arrays["codes"][index],
            arrays["latents"][index].float(),
            *(arrays[name][index] for name in Batch._fields[5:]),
        )

    def _sample(self, name: str) -> Tensor:
        """About 20,000 evenly spaced rows of an array."""
        array = self._rows[name]
        return array[:: max(1, len(array) // 20000)]
