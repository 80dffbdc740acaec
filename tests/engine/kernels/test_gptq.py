import torch

from engine.kernels.gptq import LEVELS, quantize


def round_to_nearest(weight: torch.Tensor) -> torch.Tensor:
    scales = weight.abs().amax(1, keepdim=True) / LEVELS
    return (weight / scales).round() * scales


def output_error(weight: torch.Tensor, other: torch.Tensor, inputs: torch.Tensor) -> float:
    return ((inputs @ (weight - other).T).norm() / (inputs @ weight.T).norm()).item()


def correlated_inputs(count: int, width: int) -> torch.Tensor:
    """Correlated inputs of rank `width // 4` with added noise, as in networks."""
    torch.manual_seed(1)
    return torch.randn(count, width // 4) @ torch.randn(width // 4, width) + torch.randn(
        count, width
    )


def test_the_output_error_is_lower_than_by_rounding_to_nearest() -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(24, 160), correlated_inputs(800, 160)
    codes, scales = quantize(weight, inputs[:400].T @ inputs[:400])
    assert codes.dtype == torch.int8
    unseen = inputs[400:]
    assert (
        0
        < output_error(weight, codes * scales, unseen)
        < 0.5 * output_error(weight, round_to_nearest(weight), unseen)
    )


def test_uncorrelated_inputs_give_rounding_to_nearest() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 140)
    for gram in (torch.eye(140), torch.zeros(140, 140)):
        codes, scales = quantize(weight, gram)
        torch.testing.assert_close(codes * scales, round_to_nearest(weight))


def test_unused_inputs_and_zero_outputs_are_handled() -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(4, 130), correlated_inputs(300, 130)
    weight[2] = 0.0
    inputs[:, 7] = 0.0
    codes, scales = quantize(weight, inputs.T @ inputs)
    assert not codes[2].any()
    assert output_error(weight, codes * scales, inputs) < 0.01
