"""Bundles on disk: a saved bundle loads as it was, and every kind of damage is named."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.bundle.io import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Bundle,
    load_bundle,
    load_config,
    save_bundle,
    to_device,
)
from engine.config.model import FrontEnd
from engine.errors import BundleError, ConfigError, GestureError
from engine.motion.pose import concatenate
from engine.postprocess.blinks import BlinkConfig
from engine.postprocess.chain import PostProcessConfig
from engine.postprocess.gaze import GazeConfig
from engine.postprocess.idle_motion import IdleConfig
from engine.postprocess.one_euro import OneEuroConfig
from engine.postprocess.posture import PostureConfig
from engine.postprocess.stance import StanceConfig
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.reference_model import write_pointer
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle") / "tiny"
    save_bundle(tiny_bundle(), directory, half=False)
    return directory


@pytest.fixture
def damaged(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "damaged"))


def poses(bundle: Bundle) -> np.ndarray:
    stream = GestureStream(bundle)
    stream.feed_audio(babble(0.5))
    return concatenate(stream.drain()).rotations


def test_a_saved_bundle_loads_as_it_was(saved: Path) -> None:
    original, loaded = tiny_bundle(), load_bundle(saved)
    assert loaded.config == original.config
    assert torch.equal(loaded.rest_codes, original.rest_codes)
    np.testing.assert_array_equal(poses(loaded), poses(original))


def test_half_precision_halves_the_file_and_keeps_the_weights_close(
    saved: Path, tmp_path: Path
) -> None:
    original = tiny_bundle()
    save_bundle(original, tmp_path)
    ratio = (tmp_path / WEIGHTS_FILE).stat().st_size / (saved / WEIGHTS_FILE).stat().st_size
    assert ratio < 0.6
    loaded = load_bundle(tmp_path)
    for prefix, module in original.modules().items():
        for name, tensor in module.state_dict().items():
            again = loaded.modules()[prefix].state_dict()[name]
            assert again.dtype == tensor.dtype
            torch.testing.assert_close(again, tensor, atol=1e-3, rtol=1e-3)


def test_a_loaded_bundle_is_in_evaluation_mode(saved: Path) -> None:
    for module in load_bundle(saved).modules().values():
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def edit_json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        path = directory / CONFIG_FILE
        mapping = json.loads(path.read_text())
        change(mapping)
        path.write_text(json.dumps(mapping))

    return edit


def write_json(text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / CONFIG_FILE).write_text(text)


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        path = str(directory / WEIGHTS_FILE)
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(tensors)
        save_file(tensors, path)

    return edit


def cut(keep: int) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        path = directory / WEIGHTS_FILE
        path.write_bytes(path.read_bytes()[:keep])

    return edit


def replace_by_folder(directory: Path) -> None:
    (directory / WEIGHTS_FILE).unlink()
    (directory / WEIGHTS_FILE).mkdir()


TENSOR = "parts.upper.quantizer.embedding.weight"


def put_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors[TENSOR][3, 1] = torch.nan


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (shutil.rmtree, r"is not a bundle: expected bundle\.json and weights\.safe"),
    "no configuration": (lambda d: (d / CONFIG_FILE).unlink(), "is not a bundle"),
    "weights of Git LFS": (
        lambda d: write_pointer(d / WEIGHTS_FILE),
        r"weights\.safetensors is a pointer of Git LFS",
    ),
    "configuration of Git LFS": (
        lambda d: write_pointer(d / CONFIG_FILE),
        r"bundle\.json is a pointer of Git LFS",
    ),
    "no weights": (lambda d: (d / WEIGHTS_FILE).unlink(), "cannot be read as safetensors"),
    "empty weights": (cut(0), r"weights\.safetensors cannot be read .* copy it again"),
    "cut header": (cut(100), "cannot be read as safetensors"),
    "cut weights": (cut(50_000), "cannot be read as safetensors"),
    "not json": (write_json("{"), "cannot be read as a JSON object"),
    "not an object": (write_json("[1]"), "cannot be read as a JSON object"),
    "a number": (write_json("3"), "cannot be read as a JSON object"),
    "too deep": (write_json("[" * 100_000), "cannot be read as a JSON object"),
    "a size beyond numbers": (
        edit_json(lambda m: m["gesture"]["audio"].update(channels=2**70)),
        r"bundle\.json has sizes from which no network can be built",
    ),
    "a size beyond memory": (
        edit_json(lambda m: m["gesture"]["audio"].update(channels=2**50)),
        r"bundle\.json has sizes from which no network can be built",
    ),
    "weights that are a folder": (replace_by_folder, r"weights\.safetensors is not a file"),
    "not text": (lambda d: (d / CONFIG_FILE).write_bytes(b"\xff\xfe\x00"), "cannot be read as"),
    "no format": (edit_json(lambda m: m.pop("format")), "expected format 1 or 2, got None"),
    "later format": (edit_json(lambda m: m.update(format=3)), "got 3; update emage-live"),
    "unknown key": (edit_json(lambda m: m.update(colour=1)), "unknown key 'colour'"),
    "missing key": (edit_json(lambda m: m.pop("gesture")), "key 'gesture' is missing"),
    "unknown face": (edit_json(lambda m: m.update(face="x")), "unknown face basis 'x'"),
    "a part too few": (edit_json(lambda m: m["parts"].pop("hands")), "parts must be all four"),
    "an unknown part": (edit_json(lambda m: m["parts"].update(tail={})), "got 'tail'"),
    "speakers": (edit_json(lambda m: m.update(speakers=["a", "b"])), "speakers must be"),
    "words": (edit_json(lambda m: m.update(vocabulary=["a", "a"])), "vocabulary must be distinct"),
    "features without frames": (
        edit_json(lambda m: m["gesture"]["audio"].update(crop_body=False)),
        r"audio\.crop_body must be true",
    ),
    "schedule": (edit_json(lambda m: m["schedule"].update(hop=99)), "must fit into the window"),
    "a wrong type": (edit_json(lambda m: m["clock"].update(frame_rate="30")), "expected int"),
    "another width": (
        edit_json(lambda m: m["parts"]["upper"].update(codes=25)),
        rf"tensor {TENSOR}: expected shape \[25, 8\], got \[24, 8\]",
    ),
    "missing tensor": (edit_weights(lambda t: t.pop(TENSOR)), f"tensor {TENSOR} is missing"),
    "foreign tensor": (
        edit_weights(lambda t: t.update(intruder=torch.zeros(1))),
        "tensor intruder is not of this model",
    ),
    "misshapen tensor": (
        edit_weights(lambda t: t.update({TENSOR: t[TENSOR][:, :-1].contiguous()})),
        rf"tensor {TENSOR}: expected shape \[24, 8\], got \[24, 7\]",
    ),
    "nan": (edit_weights(put_nan), f"tensor {TENSOR} holds NaN or infinite values"),
    "rest code": (
        edit_weights(lambda t: t["rest.codes"].fill_(24)),
        r"rest\.codes of face is 24, not in its codebook",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(damaged: Path, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(damaged)
    with pytest.raises(BundleError, match=message):
        load_bundle(damaged)


@pytest.mark.posix
def test_weights_that_are_a_pipe_are_an_error(damaged: Path) -> None:
    (damaged / WEIGHTS_FILE).unlink()
    os.mkfifo(damaged / WEIGHTS_FILE)
    with pytest.raises(BundleError, match=r"weights\.safetensors is not a file"):
        load_bundle(damaged)


def test_the_configuration_alone_needs_no_weights(damaged: Path) -> None:
    (damaged / WEIGHTS_FILE).unlink()
    assert load_config(damaged) == tiny_bundle().config


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.bin is not a bundle"):
        load_bundle(path)


def test_a_face_of_another_width_is_an_error_before_the_first_frame(
    damaged: Path,
) -> None:
    edit_json(lambda m: m.update(face="flame100"))(damaged)
    with pytest.raises(GestureError, match="has 106 channels"):
        GestureStream(load_bundle(damaged))


@pytest.mark.parametrize("kind", [FrontEnd.WAVE, FrontEnd.RHYTHM])
def test_published_settings_survive_the_disk(tmp_path: Path, kind: FrontEnd) -> None:
    bundle = tiny_published_bundle(kind)
    save_bundle(bundle, tmp_path)
    assert load_bundle(tmp_path).config == bundle.config


def test_postprocessing_survives_the_disk_and_is_off_by_default(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    stages = PostProcessConfig(
        one_euro=OneEuroConfig(2.5, 0.5),
        posture=PostureConfig({"head": (-6.0, 0.0, 1.5)}),
        stance=StanceConfig(0.04, 0.005),
        idle=IdleConfig(0.4, {"default": 0.2}),
        gaze=GazeConfig(0.2),
        blinks=BlinkConfig(12.5),
    )
    config = dataclasses.replace(bundle.config, postprocess=stages)
    save_bundle(dataclasses.replace(bundle, config=config), tmp_path)
    assert load_config(tmp_path) == config
    edit_json(lambda m: m.pop("postprocess"))(tmp_path)
    assert load_config(tmp_path) == bundle.config


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"blinks": {"per_minute": 17}}, r"blinks need a face with eyeBlinkLeft.*flame100 has no"),
        ({"gaze": {"away_share": 0.3}}, r"gaze needs a face with eye directions.*flame100 has no"),
    ],
)
def test_stages_of_the_eyes_need_their_coefficients(
    damaged: Path, stage: dict[str, object], message: str
) -> None:
    edit_json(lambda m: m.update(face="flame100", postprocess=stage))(damaged)
    with pytest.raises(BundleError, match=message):
        load_bundle(damaged)


def test_idle_amounts_are_of_known_speakers_only(damaged: Path) -> None:
    idle = {"amount": 1, "speakers": {"nobody": 0.5}}
    edit_json(lambda m: m.update(postprocess={"idle": idle}))(damaged)
    with pytest.raises(BundleError, match=r"idle.speakers must be of .*nobody"):
        load_bundle(damaged)


def test_networks_are_moved_to_a_device() -> None:
    bundle = tiny_bundle()
    again = to_device(bundle, "cpu")
    assert again.rest_codes.device.type == "cpu"
    assert next(again.gesture.parameters()).device.type == "cpu"
    with pytest.raises(ConfigError, match="expected a device of PyTorch, such as cpu or cuda"):
        to_device(bundle, "abacus")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Within it, writing more than `size` bytes fails as on a full disk."""
    assert sys.platform != "win32"
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.posix
def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with largest_file(20_000), pytest.raises(OSError, match=r"."):
        save_bundle(tiny_bundle(), target)
    assert list(tmp_path.iterdir()) == []
    save_bundle(tiny_bundle(), target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with largest_file(20_000), pytest.raises(OSError, match=r"."):
        save_bundle(tiny_bundle(), target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
