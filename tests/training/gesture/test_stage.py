"""Stage gesture on tiny takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.bundle.io import save_bundle
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import BodyVariant, GestureConfig, MotionKind, OnsetConfig, PartVaeConfig
from engine.config.presets import live_config, published_audio_config, published_text_config
from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from engine.model.builders import build_gesture_model, build_part_vae
from engine.model.part_vae import PartVae
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart
from tests.support.takes import take
from tests.support.tiny_bundle import tiny_bundle
from tests.support.training_fixtures import save_corpus, save_parts
from training.__main__ import read_config
from training.data.clips import write_json
from training.data.dataset import GestureWindows
from training.data.windows import generator
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.hint_masks import HintShape
from training.gesture.loss import (
    TrainingSet,
    losses,
    reconstruction,
)
from training.gesture.masking import MaskingConfig, schedules
from training.gesture.rollout import RolloutConfig
from training.gesture.settings import Design, GestureTraining
from training.gesture.stage import (
    SCHEDULES,
    gesture_task,
    make_rollout,
    model_config,
    run,
    run_config_of,
)
from training.loop.checkpoint import read_log
from training.loop.distributed import Distributed
from training.loop.loop import Loop
from training.loop.lr_schedule import LrSchedule
from training.module_io import load_config, load_weights

SETTINGS = GestureTraining(window=32, width=16, batch=4, steps=30, learning_rate=3e-3, threads=1)


def trained(
    settings: GestureTraining,
    config: GestureConfig,
    windows: GestureWindows,
    parts: dict[BodyPart, PartVae],
    out: Path,
) -> list[dict[str, float]]:
    """Train and return the losses of every step."""
    rollout = make_rollout(settings, windows, parts, torch.device("cpu"))
    training_set = TrainingSet(config, BatchSampler(settings, windows, parts), rollout, out)
    task = gesture_task(settings, [training_set])
    Loop(task, run_config_of(settings), settings.loop, Distributed(), out).run()
    return read_log(out)


def test_training_lowers_the_loss_and_resumes(
    windows: GestureWindows, parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    config = replace(
        live_config(DEFAULT_FEATURES.width, 10, width=16, codes=12, code_dim=8), heads=2
    )
    curve = trained(SETTINGS, config, windows, parts, tmp_path / "whole")
    assert curve[-1]["nll"] < curve[0]["nll"]
    short = replace(SETTINGS, max_minutes=1e-9)
    assert trained(short, config, windows, parts, tmp_path / "parts") == []
    assert trained(SETTINGS, config, windows, parts, tmp_path / "parts") == curve
    assert (tmp_path / "parts" / "model.safetensors").is_file()


def test_parts_with_different_codebook_sizes_are_refused(parts: dict[BodyPart, PartVae]) -> None:
    other = build_part_vae(PartVaeConfig(8, 16, 8, 24, 1))
    with pytest.raises(ConfigError, match="one size"):
        model_config(SETTINGS, {**parts, BodyPart.FACE: other}, 10)


HINTS = MaskingConfig(hint_share=0.5, hint_ratio=(0.2, 0.8))
PAPER = replace(
    SETTINGS,
    design=Design.PAPER,
    word_width=8,
    reconstruct_weight=1.0,
    stress_weight_aux=0.0,
    masking=HINTS,
)


@pytest.mark.parametrize("path", list(BodyVariant)[1:])
def test_paper_design_learns_with_hints(
    path: BodyVariant, windows: GestureWindows, parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    even = replace(HINTS, hint_ratio=(0.5, 0.5))
    settings = replace(
        PAPER, body_variant=path, masking=even, lr_schedule=LrSchedule(warmup_steps=5)
    )
    config = model_config(settings, parts, 10)
    assert (config.body_variant, config.motion.kind) == (path, MotionKind.SPATIAL)
    reports = trained(settings, config, windows, parts, tmp_path)

    def mean(name: str, some: slice) -> float:
        return sum(report[name] for report in reports[some]) / len(reports[some])

    for name in ("nll", "latent", "hints"):
        assert mean(name, slice(-5, None)) < mean(name, slice(0, 5)), name


@pytest.mark.parametrize(
    "config",
    [
        published_audio_config(width=16, audio_width=8, motion_width=8, codes=12, code_dim=8),
        published_text_config(10, width=16, audio_width=8, motion_width=8, codes=12, code_dim=8),
    ],
    ids=["audio", "text"],
)
def test_published_designs_reconstruct(
    config: GestureConfig, windows: GestureWindows, parts: dict[BodyPart, PartVae]
) -> None:
    batch = BatchSampler(PAPER, windows, parts)(generator(1))
    shown, latents = batch.inputs, batch.latents
    rows, frames = shown.words.shape
    channels = (2,) if config.audio.channels == 2 else ()
    inputs = WindowInputs(
        *(shown.motion, torch.rand_like(shown.motion).round()),
        *(torch.randn(rows, frames * 533, *channels), shown.words, torch.zeros(rows).long()),
    )
    torch.manual_seed(0)
    model = build_gesture_model(config)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for _ in range(10):
        outputs = model(inputs, use_audio=False)
        error = reconstruction(outputs, latents, windows.latent_scale).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.95 * errors[0]


@pytest.mark.parametrize("name", ["paper", "published", "streaming"])
def test_shipped_settings_train(name: str, root: Path, tmp_path: Path) -> None:
    save_parts(tmp_path / "vq")
    save_corpus(tmp_path / "corpus")
    config = read_config(root / "training" / "configs" / f"gesture_{name}.toml")
    tiny = {"window": 32, "width": 16, "word_width": 8, "batch": 3, "steps": 2, "variants": 1}
    out = tmp_path / "gesture"
    out.mkdir()
    run(config | tiny | {"memory_map": name == "paper"}, tmp_path, out)
    assert (out / "rows" / "rows.json").is_file() == (name == "paper")
    saved = load_config(out, GestureConfig)
    paths = {"paper": BodyVariant.CROSS_ATTENTION}
    assert (saved.body_variant, saved.width) == (paths.get(name, BodyVariant.PARTS), 16)
    load_weights(out, build_gesture_model(saved))
    stored = [from_mapping(Schedule, entry) for entry in json.loads((out / SCHEDULES).read_text())]
    assert stored == list(schedules(from_mapping(GestureTraining, config | tiny).masking, 32))
    assert {schedule.hop for schedule in stored} >= ({1, 2, 4, 8} if name == "streaming" else set())


def test_loss_fills_in_the_generated_history(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    """The loss module replaces the requested histories and no other frames."""
    config = RolloutConfig(share=0.5, hops=(2,), frames=6, seed=8)
    settings = replace(SETTINGS, rollout=config, batch=8, masking=MaskingConfig(noise=0.0))
    takes = [take(False, 1), take(True, 2), take(False, 3)]
    windows = GestureWindows(takes, parts, settings.window + config.lead)
    rollout = make_rollout(settings, windows, parts, torch.device("cpu"))
    sampler = BatchSampler(settings, windows, parts)
    config = model_config(settings, parts, 10)
    task = gesture_task(settings, [TrainingSet(config, sampler, rollout, tmp_path)])
    shown: list[WindowInputs] = []
    model = task.objective.get_submodule("model")
    model.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    batch = sampler(generator(3))
    task.objective(batch, 0, generator(3)).total.backward()
    assert len(shown) == 6 // 2 + 1  # three hops, then the training window
    rows, motion = batch.rollout.rows, shown[-1].motion
    assert torch.equal(motion[~rows], batch.inputs.motion[~rows])
    changed = (motion[rows] != batch.inputs.motion[rows]).any(-1)
    assert changed[:, 24:30].all()
    assert not (changed & (batch.inputs.mask[rows].amin(-1) == 0))[:, :24].any()
    torch.testing.assert_close(motion, rollout.fill(model, batch.inputs.motion, batch.rollout))


def test_shards_average_to_the_loss_of_the_whole_batch(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    """All random features enabled: they are drawn for the whole batch."""
    config = RolloutConfig(share=0.5, hops=(2, 4), frames=8, seed=8)
    masking = MaskingConfig(hint_share=0.4, wrong_codes=(0.5, 0.5), hint_shapes=tuple(HintShape))
    settings = replace(SETTINGS, rollout=config, batch=8, masking=masking, reconstruct_weight=1.0)
    takes = [take(False, 1), take(True, 2), take(False, 3)]
    windows = GestureWindows(takes, parts, settings.window + config.lead)
    rollout = make_rollout(settings, windows, parts, torch.device("cpu"))
    config = model_config(settings, parts, 10)
    task = gesture_task(
        settings, [TrainingSet(config, BatchSampler(settings, windows, parts), rollout, tmp_path)]
    )
    batch = task.draw(generator(4), 10)
    whole = task.objective(batch, 10, generator(4)).total.item()
    shards = [Distributed(rank, 2).shard(batch) for rank in (0, 1)]
    parted = [task.objective(shard, 10, generator(4)).total.item() for shard in shards]
    assert sum(parted) / 2 == pytest.approx(whole, rel=1e-4)
    assert abs(parted[0] - parted[1]) > 1e-3


def test_residual_codes_are_learned_by_their_first_codebook(
    windows: GestureWindows, parts: dict[BodyPart, PartVae]
) -> None:
    codes = torch.tensor([[[7 + 12 * 5]] * 2]).expand(1, 2, 4)
    logits = 40.0 * torch.nn.functional.one_hot(codes[:, :, 0] % 12, 12).float()
    latents = torch.zeros(1, 2, 4, 6)
    outputs = WindowOutputs((latents[:, :, 0],) * 4, (logits,) * 4)
    empty = torch.zeros(1)
    valid = torch.ones(1, 2, 4)
    batch = TrainingBatch(
        empty, valid[..., 0], empty, empty, codes, latents, empty, valid, empty, empty
    )
    _, entropy, right = losses(outputs, batch, torch.ones(4), 0.0)
    assert float(entropy) == pytest.approx(0.0, abs=1e-5)
    assert right.tolist() == [1.0] * 4


def other_parts() -> dict[BodyPart, PartVae]:
    """Autoencoders of another data set, with more codes."""
    torch.manual_seed(5)
    made = {}
    for part in BodyPart:
        channels = part_layout(part, ARKIT_51.width).width
        vae = build_part_vae(PartVaeConfig(channels, 16, 6, 20, 1, causal=True))
        torch.nn.init.normal_(vae.quantizer.embedding.weight)
        made[part] = vae.eval().requires_grad_(False)
    return made


def test_data_sets_share_the_network_but_not_its_heads(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, steps=50, lr_schedule=LrSchedule(warmup_steps=5))
    sets = []
    for number, (own_parts, seeds) in enumerate(((parts, (1, 3)), (other_parts(), (4, 5)))):
        windows = GestureWindows([take(False, seed) for seed in seeds], own_parts, 32)
        rollout = make_rollout(settings, windows, own_parts, torch.device("cpu"))
        sampler = BatchSampler(settings, windows, own_parts)
        config = model_config(settings, own_parts, 10)
        sets.append(
            TrainingSet(config, sampler, rollout, tmp_path / str(number), share=1.0 + number)
        )
    task = gesture_task(settings, sets)
    drawn = [task.draw(generator(seed), 0) for seed in range(60)]
    assert {batch.latents.shape[-1] for batch in drawn} == {8, 6}
    assert 0.5 < sum(int(batch.source[0]) for batch in drawn) / 60 < 0.85
    fixed = [next(x for x in drawn if int(x.source[0]) == source) for source in (0, 1)]

    def errors() -> list[float]:
        with torch.no_grad():
            found = [task.objective(batch, 0, generator(0)) for batch in fixed]
        return [float(terms.shown["latent"]) for terms in found]

    before = errors()
    Loop(task, run_config_of(settings), settings.loop, Distributed(), tmp_path).run()
    after = errors()
    assert all(b < 0.9 * a for a, b in zip(before, after, strict=True)), (before, after)
    for training_set in sets:
        saved = load_config(training_set.folder, GestureConfig)
        assert (saved.codes, saved.code_dim) == (
            training_set.config.codes,
            training_set.config.code_dim,
        )
        load_weights(training_set.folder, build_gesture_model(saved))


def test_data_sets_are_read_and_written_by_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_parts(tmp_path / f"vq_{name}")
        save_corpus(tmp_path / name)
    write_json(tmp_path / "two" / "vocabulary.json", ["tree", "hello"])
    sets = [{"name": n, "corpus": n, "vq": f"vq_{n}"} for n in ("one", "two")]
    out = tmp_path / "gesture"
    out.mkdir()
    run({"datasets": sets, "window": 32, "width": 16, "batch": 3, "steps": 2, "variants": 1},
        tmp_path, out)  # fmt: skip
    for name in ("one", "two"):
        assert json.loads((out / name / "vocabulary.json").read_text()) == ["hello", "tree"]
        assert load_config(out / name, GestureConfig).words.vocabulary == 6
        assert (out / name / SCHEDULES).is_file()
    with pytest.raises(ConfigError, match="named, each differently"):
        run({"datasets": [sets[0], sets[0]]}, tmp_path, out)


def test_training_starts_from_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_parts(tmp_path / "vq")
    save_corpus(tmp_path / "corpus")
    save_bundle(tiny_bundle(), tmp_path / "bundle")
    out = tmp_path / "gesture"
    out.mkdir()
    cue = {"lead_frames": 2, "refractory_frames": 3, "hold_frames": 4}
    settings = {
        "window": 32, "width": 16, "batch": 3, "steps": 1, "learning_rate": 1e-9, "variants": 1,
        "onset": cue, "speech_dilations": [1, 2], "init_from": "bundle",
    }  # fmt: skip
    run(settings, tmp_path, out)
    assert "tensors taken from" in capsys.readouterr().out
    learned = load_config(out, GestureConfig)
    model = build_gesture_model(learned)
    load_weights(out, model)
    # A step with a tiny learning rate changes almost nothing.
    known = tiny_bundle().gesture.cue
    assert known is not None
    assert model.cue is not None
    assert learned.onset == OnsetConfig(**cue)
    torch.testing.assert_close(
        model.cue.score.first.weight, known.score.first.weight, atol=1e-3, rtol=0
    )
