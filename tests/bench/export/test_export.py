import json
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.export.export import draw, output_error, step_graphs
from engine.bundle.io import save_bundle
from engine.generate.sampling import CodeSelection
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import pose_decoder
from engine.model.types import WindowInputs
from engine.motion.skeleton import BodyPart
from tests.support.tiny_bundle import tiny_bundle


def test_codes_are_those_of_the_engine() -> None:
    bundle = tiny_bundle()
    schedule = bundle.config.schedule
    window, _ = step_graphs(bundle, schedule)
    inputs = draw(bundle, schedule, window, torch.Generator().manual_seed(0))
    codes = window.module(*inputs)[0]
    outputs = EagerKernel(bundle.gesture, schedule.newest)(WindowInputs(*inputs))
    assert codes.shape == (1, 4, schedule.hop)
    for p, part in enumerate(BodyPart):
        if bundle.config.code_selection.get(part) is CodeSelection.NEAREST_LATENT:
            expected = bundle.parts[part].nearest(outputs.latents[p])
        else:
            expected = outputs.logits[p].argmax(-1)
        assert torch.equal(codes[:, p], expected)


def test_decoding_equals_that_of_the_engine() -> None:
    bundle = tiny_bundle()
    schedule = bundle.config.schedule
    _, decode = step_graphs(bundle, schedule)
    (codes,) = draw(bundle, schedule, decode, torch.Generator().manual_seed(0))
    found = dict(zip(decode.outputs, decode.module(codes), strict=True))
    expected = pose_decoder(bundle).decode(codes, schedule.hop + 2)
    torch.testing.assert_close(found["root_motion"], expected.root_motion)
    torch.testing.assert_close(found["motion"], expected.motion, atol=1e-4, rtol=1e-3)


def test_a_quaternion_and_its_negative_are_equal() -> None:
    turned = torch.nn.functional.normalize(torch.tensor([[0.1, 0.9, 0.2, 0.4]]), dim=-1)
    assert output_error("rotations", turned, -turned) < 1e-6
    assert output_error("face", turned, -turned) == pytest.approx(2.0)
    assert output_error("codes", torch.tensor([1, 2]), torch.tensor([1, 3])) == 0.5


def test_nothing_to_do_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 2
    assert "--onnx DIR" in capsys.readouterr().err


@pytest.mark.onnx
def test_files_descriptions_and_a_page_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(tiny_bundle(), tmp_path / "model")
    out = tmp_path / "out"
    assert main(["export", "--onnx", str(out), "--model", str(tmp_path / "model")]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(report["errors"]) == {"window", "decode"}
    report = json.loads((out / "export.json").read_text())
    names = [port["name"] for port in report["files"]["window.onnx"]["outputs"]]
    assert names[:2] == ["codes", "latents_face"]
    assert report["files"]["decode.onnx"]["inputs"][0]["shape"][:2] == [1, 4]
    assert "| output | `rotations` | 1 x 4 x 55 x 4 |" in (out / "README.md").read_text()
