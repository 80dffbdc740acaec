import torch

from engine.config.presets import live_config
from engine.kernels.eager import EagerKernel
from engine.model.builders import build_gesture_model
from engine.model.types import Kernel, WindowInputs


def window(frames: int) -> WindowInputs:
    torch.manual_seed(frames)
    return WindowInputs(
        torch.randn(1, frames, 11),
        (torch.rand(1, frames, 11) > 0.5).float(),
        torch.randn(1, frames, 5),
        torch.randint(0, 9, (1, frames)),
        torch.zeros(1, dtype=torch.int64),
    )


def kernel() -> tuple[torch.nn.Module, Kernel]:
    torch.manual_seed(0)
    model = build_gesture_model(live_config(5, 9, width=16, channels=11)).train()
    return model, EagerKernel(model)


def test_no_dropout_and_no_gradients() -> None:
    model, run = kernel()
    first, second = run(window(8)), run(window(8))
    assert not model.training
    assert run.name == "eager"
    for a, b in zip(first.logits, second.logits, strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad


def test_windows_are_independent() -> None:
    _, run = kernel()
    first = run(window(8))
    run(window(5))
    assert torch.equal(first.latents[1], run(window(8)).latents[1])
    assert run(window(5)).latents[0].shape == (1, 5, 64)


def test_the_number_of_output_frames_is_configurable() -> None:
    model, whole = kernel()
    newest = EagerKernel(model, newest=3)(window(8))
    assert [latent.shape for latent in newest.latents] == [(1, 3, 64)] * 4
    for some, every in zip(newest.logits, whole(window(8)).logits, strict=True):
        torch.testing.assert_close(some, every[:, -3:])


def test_outputs_equal_the_models() -> None:
    model, run = kernel()
    torch.testing.assert_close(run(window(6)), model.eval()(window(6)))
