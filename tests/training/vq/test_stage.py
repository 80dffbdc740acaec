"""Stages vq, root-motion and eval-vq on a few tiny clips."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle.io import new_bundle, save_bundle
from engine.config.model import PartVaeConfig, RootModelConfig
from engine.errors import ConfigError
from engine.model.builders import build_part_vae
from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55, BodyPart
from tests.support.tiny_bundle import tiny_bundle, tiny_config
from training.data.clips import save_clip
from training.data.windows import Source, WindowSampler, generator, load_sources
from training.loop.checkpoint import read_log
from training.loop.distributed import Distributed
from training.loop.loop import Loop, RunConfig
from training.module_io import load_config, load_weights
from training.sources.retarget import plant
from training.vq import evaluate, root_motion
from training.vq import stage as vq
from training.vq.losses import FootLoss
from training.vq.root_motion import LOWER, SAMPLE, hide_translation, samples

SOURCES = [{"folder": "clips"}]


def _waving(seed, frames=40):
    random = np.random.default_rng(seed)
    rotations = rot.identity(frames, 55).astype(np.float64)
    seconds = np.arange(frames) / 30
    for name in ("left_shoulder", "right_elbow", "spine2", "left_knee", "left_index1", "pelvis"):
        vector = np.zeros((frames, 3))
        vector[:, 2] = 0.2 * np.sin(seconds * random.uniform(2, 6) + random.uniform(0, 6))
        rotations[:, SMPLX_55.index(name)] = rot.exp(vector)
    motion = plant(rotations)
    motion.poses.face[:] = random.uniform(0, 1, 51) * np.sin(seconds * 5)[:, None] ** 2
    return motion


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    for seed in range(4):
        meta = {"name": str(seed), "split": "test" if seed == 3 else "train"}
        save_clip(folder / "clips" / f"{seed}.npz", _waving(seed), meta)
    return folder


def _settings(steps):
    part = {"width": 16, "codes": 32, "code_dim": 8, "steps": steps}
    return {
        "sources": SOURCES, "window": 16, "stretch": 8, "batch": 4, "report_every": 1000,
        "workers": 1, "parts": {str(p): part for p in BodyPart},
    }  # fmt: skip


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    for part in BodyPart:
        vq.train_part(_settings(60), part, data, out)
    options = {"sources": SOURCES, "width": 16, "steps": 60, "batch": 4, "window": 16}
    root_motion.run(options, data, out)
    return out


def test_test_clips_are_excluded(data):
    ((share, clips),) = load_sources(data, [Source("clips", 2.0, False)], BodyPart.LOWER)
    assert share == 2.0
    assert len(clips) == 3
    assert len(load_sources(data, [Source("clips")], BodyPart.LOWER)[0][1]) == 6


def test_short_clips_repeat_their_first_frame():
    clip = torch.arange(3.0)[:, None]
    window = WindowSampler([(1.0, [clip])], 5).draw(1, generator(1))
    assert window[0, :, 0].tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]


def test_windows_stay_within_clips():
    clips = [torch.full((7, 1), 1.0), torch.full((5, 1), 2.0)]
    windows = WindowSampler([(1.0, clips)], 4).draw(60, generator(1))
    assert (windows == windows[:, :1]).all()
    assert set(windows.flatten().tolist()) == {1.0, 2.0}


def test_missing_clips_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no clips"):
        WindowSampler(load_sources(tmp_path, [Source("clips")], BodyPart.FACE), 8)


def test_training_is_reproducible(data, trained, tmp_path):
    vq.train_part(_settings(60), BodyPart.LOWER, data, tmp_path)
    one, two = ((f / "lower" / "model.safetensors").read_bytes() for f in (trained, tmp_path))
    assert one == two


def test_faces_of_any_width_are_accepted():
    assert vq.face_width(BodyPart.FACE, 106) == 100
    assert vq.face_width(BodyPart.FACE, 57) == 51
    settings = vq.VqTraining({BodyPart.FACE: vq.PartTraining(8, codes=8, code_dim=4)}, ())
    sampler = WindowSampler([(1.0, [torch.randn(40, 106)])], 32)
    task = vq.part_task(BodyPart.FACE, settings, sampler, Distributed(), Path("nowhere"))
    terms = task.objective(torch.randn(2, 32, 106), 0, generator(1))
    assert {"face", "plain"} <= terms.shown.keys()


def test_training_reduces_the_loss(data, tmp_path):
    own = vq.PartTraining(16, 32, 8, steps=80)
    settings = vq.VqTraining({BodyPart.UPPER: own}, (), stretch=8, batch=8)
    clips = load_sources(data, [Source("clips")], BodyPart.UPPER)[0][1]
    sampler = WindowSampler([(1.0, [clips[0][:16]])], 16)
    task = vq.part_task(BodyPart.UPPER, settings, sampler, Distributed(), tmp_path)
    run_config = RunConfig(80, settings.learning_rate, 1, settings.lr_schedule)
    Loop(task, run_config, settings.loop, Distributed(), tmp_path).run()
    curve = [row["loss"] for row in read_log(tmp_path)]
    assert curve[-1] < 0.6 * curve[0]


QUANTIZERS = {
    "plain": {"codes": 32},
    "residual": {"codes": 8, "stages": 3},
    "fsq": {"levels": (5, 4, 3)},
}


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_other_quantizers_learn(kind, data, tmp_path):
    own = {"width": 16, "code_dim": 8, "steps": 80, "quantizer": kind} | QUANTIZERS[kind]
    settings = _settings(80) | {"parts": {"upper": own}, "learning_rate": 3e-3}
    summary = vq.train_part(settings, BodyPart.UPPER, data, tmp_path)
    config = load_config(tmp_path / "upper", PartVaeConfig)
    stages = config.stages
    assert summary.count("perplexity") == stages == QUANTIZERS[kind].get("stages", 1)
    assert config.quantizer == kind
    assert kind != "fsq" or config.codes == 60
    vae = build_part_vae(config)
    load_weights(tmp_path / "upper", vae)
    curve = [row["loss"] for row in read_log(tmp_path / "upper")]
    assert np.mean(curve[-10:]) < 0.9 * np.mean(curve[:10])
    ((_, clips),) = load_sources(data, [Source("clips")], BodyPart.UPPER)
    assert all(
        use.used > 1.5 / size
        for use, size in zip(
            vq.usage(vae, clips, torch.device("cpu")), vae.quantizer.sizes, strict=True
        )
    )


def test_only_encoders_of_a_bundle_are_trained(data, tmp_path):
    bundle = tiny_bundle()
    save_bundle(bundle, tmp_path / "bundle", half=False)
    settings = _settings(20) | {"bundle": str(tmp_path / "bundle")}
    vq.run(settings, data, tmp_path / "vq")
    root = load_config(tmp_path / "vq" / "global", RootModelConfig)
    assert root == bundle.config.root_model
    for part in BodyPart:
        assert load_config(tmp_path / "vq" / part, PartVaeConfig) == bundle.config.parts[part]
        vae = build_part_vae(bundle.config.parts[part])
        load_weights(tmp_path / "vq" / part, vae)
        codes = torch.arange(24)[None]
        assert torch.equal(vae.decode_codes(codes), bundle.parts[part].decode_codes(codes))
        torch.manual_seed(vq.VqTraining({}, ()).seed)
        fresh = dict(build_part_vae(bundle.config.parts[part]).named_parameters())
        trained = [n for n, p in vae.named_parameters() if n in fresh and n.startswith("encoder")]
        assert all(not torch.equal(vae.get_parameter(n), fresh[n]) for n in trained)
        assert trained


def test_bundle_with_another_face_is_refused(data, tmp_path):
    save_bundle(new_bundle(narrow_faces()), tmp_path / "bundle")
    settings = _settings(2) | {"bundle": str(tmp_path / "bundle")}
    with pytest.raises(ConfigError, match="face of 57 channels"):
        vq.train_part(settings, BodyPart.FACE, data, tmp_path / "vq")


def narrow_faces():
    config = tiny_config()
    face = replace(config.parts[BodyPart.FACE], channels=30)
    return replace(config, parts=config.parts | {BodyPart.FACE: face})


def test_quantisation_starts_after_the_warm_up(trained):
    quantised = ["commitment" in row for row in read_log(trained / "upper")]
    assert quantised == [False] * 6 + [True] * 54


def test_networks_are_written_with_their_configuration(trained):
    for part in BodyPart:
        assert load_config(trained / part, PartVaeConfig).causal
    own = load_config(trained / "global", RootModelConfig)
    assert (own.channels, own.out) == (61, 3)


def test_reconstruction_is_evaluated_on_held_out_clips(data, trained):
    evaluate.run({"folders": {"held out": ["clips", "test"]}}, data, trained)
    report = json.loads((trained / "floors.json").read_text())["held out"]
    assert report["clips"] == 1
    assert report["frames"] == 40
    assert 0.0 < report["cm"]["all"] < 100.0
    assert set(report["code_usage"]) == {str(p) for p in BodyPart}


def test_comparison_of_equal_motions_gives_no_error():
    motion = _waving(5)
    same = evaluate.compare(motion, motion)
    assert max(same[k] for k in ("all", "wrists", "root", "upper", "hands", "lower")) == 0.0
    assert same["jerk_made"] == same["jerk_true"]


def test_finger_errors_affect_only_the_hands():
    motion, other = _waving(5), _waving(5)
    other.poses.rotations[:, SMPLX_55.index("left_index2")] = rot.exp(np.array([0.0, 0.0, 0.5]))
    report = evaluate.compare(other, motion)
    assert report["hands"] > 0.01
    assert report["upper"] == report["lower"] == report["root"] == 0.0


def test_errors_are_in_centimetres():
    motion, other = _waving(5), _waving(5)
    other.poses.translation[:, 0] += 0.1
    report = evaluate.compare(other, motion)
    assert report["all"] == pytest.approx(10.0, abs=1e-3)
    assert report["upper"] == pytest.approx(0.0, abs=1e-3)


def test_root_network_input_has_no_translation():
    lower = torch.randn(5, LOWER.width)
    shown = LOWER.unpack(hide_translation(lower))
    assert shown["translation"].abs().max() == 0
    assert torch.equal(shown["rot6d"], LOWER.unpack(lower)["rot6d"])


def test_samples_have_the_true_foot_heights():
    motion = _waving(6)
    from training.data.windows import tensor_of

    clip = tensor_of(BodyPart.LOWER, motion)
    fields = SAMPLE.unpack(samples(clip, clip, FootLoss(30.0)))
    points = motion.world_positions()[:, [7, 8, 10, 11]]
    np.testing.assert_allclose(fields["height"], points[..., 1], atol=1e-4)
