"""Stage `gesture`: training of the gesture transformer.

Reads DATA/<corpus> and DATA/<vq>; writes OUT/{config.json, model.safetensors, vocabulary.json,
speakers.json, schedules.json}, the checkpoint and the loss log.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from engine.config.features import DEFAULT_FEATURES
from engine.config.model import GestureConfig
from engine.config.presets import live_config, paper_config
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.data.clips import write_json
from training.data.dataset import GestureWindows, Takes, find_speakers, find_takes
from training.data.memmap import key_of
from training.data.normalize import Scaling, fold
from training.data.windows import generator
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.dataset_heads import Heads, merge_heads
from training.gesture.loss import GestureLoss, TrainingSet
from training.gesture.lsuv_init import initialize_unit_variance
from training.gesture.masking import schedules
from training.gesture.rollout import Rollout, rollout_decoder
from training.gesture.settings import DataSet, Design, GestureTraining
from training.loop.checkpoint import read_objective
from training.loop.distributed import Distributed
from training.loop.loop import Loop, RunConfig, TrainingTask
from training.module_io import save_module
from training.vq.stage import load_parts
from training.warm_start import is_bundle, load_matching, weights_from_bundle

SCHEDULES = "schedules.json"
SPEAKERS = "speakers.json"


class Names(NamedTuple):
    """Vocabulary and speaker names of all data sets."""

    vocabulary: Vocabulary
    speakers: tuple[str, ...]


def read_vocabulary(folder: Path) -> Vocabulary:
    """Read the vocabulary of a corpus or of a trained model."""
    path = folder / "vocabulary.json"
    if not path.is_file():
        raise ConfigError(f"expected {path}; run the stage compose first")
    return Vocabulary(json.loads(path.read_text()))


def read_names(corpora: Sequence[Path]) -> Names:
    """Merge the words and speakers of all corpora; without speakers, `default` is the only one."""
    words = [word for each in corpora for word in read_vocabulary(each).words]
    speakers = [name for each in corpora for name in find_speakers(each)]
    vocabulary = Vocabulary(tuple(dict.fromkeys(words)))
    return Names(vocabulary, tuple(dict.fromkeys(speakers)) or ("default",))


def initialize_from(folder: Path, model: nn.Module, names: Names, scaling: Scaling) -> None:
    """Load all weights of a bundle or another training that have the same name and shape.

    Words and speakers of a bundle are matched by name; another training must have the same ones.
    """
    if is_bundle(folder):
        found = weights_from_bundle(folder, names.vocabulary, names.speakers, scaling)
    else:
        found = read_objective(folder, "model")
    load_matching(model, found, folder)


def model_config(
    settings: GestureTraining, parts: dict[BodyPart, PartVae], words: int, speakers: int = 1
) -> GestureConfig:
    """Configuration of the design that fits the part autoencoders."""
    sizes = {(vae.classes, vae.code_dim) for vae in parts.values()}
    if len(sizes) != 1:
        raise ConfigError(f"expected one size of codebook for all parts, got {sorted(sizes)}")
    codes, code_dim = sizes.pop()
    width = settings.width
    sizes_of: dict[str, Any] = {
        "codes": codes,
        "code_dim": code_dim,
        "word_width": settings.word_width,
    }
    if settings.design is Design.LIVE:
        config = live_config(
            DEFAULT_FEATURES.width, words, speakers, width, **sizes_of,
            speech_dilations=settings.speech_dilations, onset=settings.onset,
        )  # fmt: skip
    else:
        config = paper_config(
            words,
            body_variant=settings.body_variant,
            width=width,
            speakers=speakers,
            audio_width=width // 2,
            motion_width=width // 2,
            **sizes_of,
        )
    return replace(config, dropout=settings.dropout)


def make_rollout(
    settings: GestureTraining,
    windows: GestureWindows,
    parts: Mapping[BodyPart, PartVae],
    device: torch.device,
) -> Rollout:
    """Build the rollout on `device`, with copies of the parts."""
    copies = {part: deepcopy(vae).to(device) for part, vae in parts.items()}
    lead = None if settings.onset is None else settings.onset.lead_frames
    return Rollout(
        settings.rollout, copies, rollout_decoder(copies), windows.scaling.to(device), lead
    )


def draw_batch(sets: Sequence[TrainingSet], draws: torch.Generator, step: int) -> TrainingBatch:
    """Draw the batch of a step from one data set."""
    if len(sets) == 1:
        return sets[0].sampler(draws, step)
    shares = torch.tensor([each.share for each in sets])
    source = int(torch.multinomial(shares, 1, generator=draws))
    batch = sets[source].sampler(draws, step)
    return batch._replace(source=torch.full((len(batch.weight),), source))


def export(model: GestureModel, heads: nn.ModuleList, sets: Sequence[TrainingSet]) -> None:
    """Write a network for each data set that takes raw motion."""
    for source, each in enumerate(sets):
        network = (
            merge_heads(model, cast(Heads, heads[source - 1]), each.config) if source else model
        )
        save_module(each.folder, each.config, fold(network, each.sampler.windows.scaling))


def gesture_task(settings: GestureTraining, sets: Sequence[TrainingSet]) -> TrainingTask:
    """Build a model with LSUV initialisation and its training task."""
    torch.manual_seed(settings.seed)
    config = sets[0].config
    model = build_gesture_model(config)
    objective = GestureLoss(model, settings, sets)
    initialize_unit_variance(model, sets[0].sampler(generator(settings.seed)).inputs)
    count = sum(p.numel() for p in objective.parameters())
    print(f"{count} parameters", flush=True)
    if settings.loop.compile and len(sets) > 1:
        raise ConfigError("compile: several data sets exchange their heads; expected false")
    return TrainingTask(
        name="gesture",
        config=to_mapping(settings) | {"model": to_mapping(config)},
        objective=objective,
        optimizer=torch.optim.AdamW(
            objective.parameters(),
            settings.learning_rate,
            (0.9, 0.98),
            weight_decay=settings.weight_decay,
        ),
        draw=lambda draws, step: draw_batch(sets, draws, step),
        export=lambda: export(model, objective.heads, sets),
        networks=(model,),
        partial=len(sets) > 1,  # a step trains the heads of one data set
    )


def run_config_of(settings: GestureTraining) -> RunConfig:
    """Run configuration of the settings."""
    return RunConfig(
        settings.steps,
        settings.learning_rate,
        settings.seed,
        settings.lr_schedule,
        settings.max_grad_norm,
        settings.report_every,
        settings.max_minutes,
    )


def _windows(
    settings: GestureTraining, takes: Takes, parts: Mapping[BodyPart, PartVae], folder: Path
) -> GestureWindows:
    """Windows of a data set, in memory or in reusable files of OUT."""
    length = settings.window + settings.rollout.lead
    if not settings.memory_map:
        return GestureWindows(takes, parts, length)
    weights = [parts[part].state_dict() for part in BodyPart]
    named = (takes.vocabulary.words, takes.speakers)
    key = key_of(takes.paths, weights, settings.variants, *named)
    return GestureWindows(takes, parts, length, folder, key)


def load_training_set(
    settings: GestureTraining, dataset: DataSet, names: Names, data: Path, out: Path,
    distributed: Distributed,
) -> TrainingSet:  # fmt: skip
    """Read and encode a data set; several data sets get a folder each in OUT."""
    parts = load_parts(data / dataset.vq)
    with distributed.main_first():  # which computes the cached features
        takes = find_takes(
            data / dataset.corpus, "train", names.vocabulary, settings.variants, settings.max_takes,
            names.speakers,
        )  # fmt: skip
        if settings.memory_map:  # and the rows, which take longer
            _windows(settings, takes, parts, out / f"rows{dataset.name}")
    windows = _windows(settings, takes, parts, out / f"rows{dataset.name}")
    print(f"{dataset.corpus}: {len(takes)} takes, {windows.frames} frames", flush=True)
    config = model_config(settings, parts, len(names.vocabulary), len(names.speakers))
    rollout = make_rollout(settings, windows, parts, distributed.device)
    folder = out / dataset.name if settings.datasets else out
    return TrainingSet(
        config, BatchSampler(settings, windows, parts), rollout, folder, dataset.share
    )


def run(
    config: dict[str, Any], data: Path, out: Path, distributed: Distributed | None = None
) -> None:
    """Run the stage."""
    settings, distributed = from_mapping(GestureTraining, config), distributed or Distributed()
    torch.set_num_threads(settings.threads)
    datasets = settings.datasets or (DataSet("", settings.corpus, settings.vq),)
    names = read_names([data / each.corpus for each in datasets])
    sets = [load_training_set(settings, each, names, data, out, distributed) for each in datasets]
    task = gesture_task(settings, sets)
    if settings.init_from is not None:
        model = task.objective.get_submodule("model")
        initialize_from(data / settings.init_from, model, names, sets[0].sampler.windows.scaling)
    if distributed.is_main:
        known = schedules(settings.masking, settings.window)
        for each in sets:
            each.folder.mkdir(parents=True, exist_ok=True)
            write_json(each.folder / "vocabulary.json", list(names.vocabulary.words))
            write_json(each.folder / SPEAKERS, list(names.speakers))
            write_json(each.folder / SCHEDULES, [to_mapping(schedule) for schedule in known])
    Loop(task, run_config_of(settings), settings.loop, distributed, out).run()
