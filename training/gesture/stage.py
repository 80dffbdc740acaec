"""Stage `gesture`: the gesture transformer learns codes and latents of the four parts.

Reads DATA/<corpus> and DATA/<vq>; writes OUT/{config.json, model.safetensors, vocabulary.json,
schedules.json}, its checkpoint and its losses.
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
from engine.config.model import GestureConfig, PartVaeConfig
from engine.config.presets import live_config, paper_config
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError
from engine.model.builders import build_gesture_model, build_part_vae
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from engine.text.words import Vocabulary
from training.data.clips import write_json
from training.data.dataset import GestureWindows, Takes, find_speakers, find_takes
from training.data.memmap import key_of
from training.data.normalize import Scaling, folded
from training.data.windows import generator
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.dataset_heads import Heads, whole
from training.gesture.loss import GestureLoss, Material
from training.gesture.lsuv_init import initialize_unit_variance
from training.gesture.masking import schedules
from training.gesture.rollout import Rollout, seed_decoder
from training.gesture.settings import DataSet, Design, GestureTraining
from training.loop.checkpoint import read_objective
from training.loop.distributed import Distributed
from training.loop.loop import Loop, RunConfig, TrainingTask
from training.module_io import load_config, load_weights, save_module
from training.warm_start import is_bundle, load_matching, weights_from_bundle

SCHEDULES = "schedules.json"
SPEAKERS = "speakers.json"


class Names(NamedTuple):
    """What the numbers of words and of speakers stand for, over all data sets."""

    vocabulary: Vocabulary
    speakers: tuple[str, ...]


def load_parts(folder: Path) -> dict[BodyPart, PartVae]:
    """The four part autoencoders that the stage vq wrote."""
    parts = {}
    for part in BodyPart:
        vae = build_part_vae(load_config(folder / part, PartVaeConfig))
        load_weights(folder / part, vae)
        parts[part] = vae.requires_grad_(False)
    return parts


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a corpus or of a trained model."""
    path = folder / "vocabulary.json"
    if not path.is_file():
        raise ConfigError(f"expected {path}; run the stage compose first")
    return Vocabulary(json.loads(path.read_text()))


def read_names(corpora: Sequence[Path]) -> Names:
    """The words and speakers of all corpora, each once; one speaker where none is named."""
    said = [word for each in corpora for word in read_vocabulary(each).words]
    moving = [name for each in corpora for name in find_speakers(each)]
    words = Vocabulary(tuple(dict.fromkeys(said)))
    return Names(words, tuple(dict.fromkeys(moving)) or ("default",))


def adopt(folder: Path, model: nn.Module, names: Names, scaling: Scaling) -> None:
    """Take over all weights of a bundle, or of another training, that have the same name and shape.

    The other training must have had the same words and speakers; a bundle's are found by name.
    """
    if is_bundle(folder):
        found = weights_from_bundle(folder, names.vocabulary, names.speakers, scaling)
    else:
        found = read_objective(folder, "model")
    load_matching(model, found, folder)


def model_config(
    settings: GestureTraining, parts: dict[BodyPart, PartVae], words: int, speakers: int = 1
) -> GestureConfig:
    """The chosen design, fitting the part autoencoders."""
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


def own_output(
    settings: GestureTraining,
    windows: GestureWindows,
    parts: Mapping[BodyPart, PartVae],
    device: torch.device,
) -> Rollout:
    """What rolls the model out on `device`; the parts themselves stay where they are."""
    near = {part: deepcopy(vae).to(device) for part, vae in parts.items()}
    lead = None if settings.onset is None else settings.onset.lead_frames
    return Rollout(settings.rollout, near, seed_decoder(near), windows.scaling.to(device), lead)


def draw_lesson(materials: Sequence[Material], draws: torch.Generator, step: int) -> TrainingBatch:
    """The lesson of a step, all of it from one data set."""
    if len(materials) == 1:
        return materials[0].lessons(draws, step)
    shares = torch.tensor([each.share for each in materials])
    source = int(torch.multinomial(shares, 1, generator=draws))
    lesson = materials[source].lessons(draws, step)
    return lesson._replace(source=torch.full((len(lesson.weight),), source))


def export(model: GestureModel, heads: nn.ModuleList, materials: Sequence[Material]) -> None:
    """Write a network for each data set, to be shown motion as it is."""
    for source, each in enumerate(materials):
        own = whole(model, cast(Heads, heads[source - 1]), each.config) if source else model
        save_module(each.folder, each.config, folded(own, each.lessons.windows.scaling))


def gesture_learner(settings: GestureTraining, materials: Sequence[Material]) -> TrainingTask:
    """A fresh model, awake, that learns from data sets and is written to their folders."""
    torch.manual_seed(settings.seed)
    config = materials[0].config
    model = build_gesture_model(config)
    objective = GestureLoss(model, settings, materials)
    initialize_unit_variance(model, materials[0].lessons(generator(settings.seed)).inputs)
    count = sum(p.numel() for p in objective.parameters())
    print(f"{count} parameters", flush=True)
    if settings.loop.compile and len(materials) > 1:
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
        draw=lambda draws, step: draw_lesson(materials, draws, step),
        export=lambda: export(model, objective.heads, materials),
        networks=(model,),
        partial=len(materials) > 1,  # a step learns the heads of one data set
    )


def course_of(settings: GestureTraining) -> RunConfig:
    """How long and how fast it learns."""
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
    """The windows of a data set, in memory or in files of OUT that are found again."""
    length = settings.window + settings.rollout.lead
    if not settings.memory_map:
        return GestureWindows(takes, parts, length)
    weights = [parts[part].state_dict() for part in BodyPart]
    named = (takes.vocabulary.words, takes.speakers)
    key = key_of(takes.paths, weights, settings.variants, *named)
    return GestureWindows(takes, parts, length, folder, key)


def load_material(
    settings: GestureTraining, wanted: DataSet, names: Names, data: Path, out: Path,
    team: Distributed,
) -> Material:  # fmt: skip
    """Read a data set and make it ready; its model goes to OUT, or to a folder of its own."""
    parts = load_parts(data / wanted.vq)
    with team.leader_first():  # features are computed once and kept
        takes = find_takes(
            data / wanted.corpus, "train", names.vocabulary, settings.variants, settings.max_takes,
            names.speakers,
        )  # fmt: skip
        if settings.memory_map:  # and so are the rows, which take longer
            _windows(settings, takes, parts, out / f"rows{wanted.name}")
    windows = _windows(settings, takes, parts, out / f"rows{wanted.name}")
    print(f"{wanted.corpus}: {len(takes)} takes, {windows.frames} frames", flush=True)
    config = model_config(settings, parts, len(names.vocabulary), len(names.speakers))
    own = own_output(settings, windows, parts, team.device)
    folder = out / wanted.name if settings.datasets else out
    return Material(config, BatchSampler(settings, windows, parts), own, folder, wanted.share)


def run(config: dict[str, Any], data: Path, out: Path, team: Distributed | None = None) -> None:
    """Train on DATA/corpus with the autoencoders of DATA/vq, or on several such sets."""
    settings, team = from_mapping(GestureTraining, config), team or Distributed()
    torch.set_num_threads(settings.threads)
    sets = settings.datasets or (DataSet("", settings.corpus, settings.vq),)
    names = read_names([data / each.corpus for each in sets])
    materials = [load_material(settings, each, names, data, out, team) for each in sets]
    learner = gesture_learner(settings, materials)
    if settings.init_from is not None:
        model = learner.objective.get_submodule("model")
        adopt(data / settings.init_from, model, names, materials[0].lessons.windows.scaling)
    if team.leads:
        known = schedules(settings.masking, settings.window)
        for each in materials:
            each.folder.mkdir(parents=True, exist_ok=True)
            write_json(each.folder / "vocabulary.json", list(names.vocabulary.words))
            write_json(each.folder / SPEAKERS, list(names.speakers))
            write_json(each.folder / SCHEDULES, [to_mapping(schedule) for schedule in known])
    Loop(learner, course_of(settings), settings.loop, team, out).run()
