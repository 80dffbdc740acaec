import torch

from engine.kernels.gptq import LEVELS, quantize


def plain(weight: torch.Tensor) -> torch.Tensor:
    scales = weight.abs().amax(1, keepdim=True) / LEVELS
    return (weight / scales).round() * scales


def off(weight: torch.Tensor, other: torch.Tensor, inputs: torch.Tensor) -> float:
    return ((inputs @ (weight - other).T).norm() / (inputs @ weight.T).norm()).item()


def related_inputs(count: int, width: int) -> torch.Tensor:
    """Of fewer dimensions than there are inputs, as those of networks are, and a little noise."""
    torch.manual_seed(1)
    return torch.randn(count, width // 4) @ torch.randn(width // 4, width) + torch.randn(
        count, width
    )


def test_results_are_nearer_than_by_rounding_each_weight_alone() -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(24, 160), related_inputs(800, 160)
    codes, scales = quantize(weight, inputs[:400].T @ inputs[:400])
    assert codes.dtype == torch.int8
    unseen = inputs[400:]
    assert 0 < off(weight, codes * scales, unseen) < 0.5 * off(weight, plain(weight), unseen)


def test_where_inputs_are_unrelated_each_weight_is_rounded_alone() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 140)
    for gram in (torch.eye(140), torch.zeros(140, 140)):
        codes, scales = quantize(weight, gram)
        torch.testing.assert_close(codes * scales, plain(weight))


def test_an_input_that_is_never_there_and_an_output_of_zeros_do_no_harm() -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(4, 130), related_inputs(300, 130)
    weight[2] = 0.0
    inputs[:, 7] = 0.0
    codes, scales = quantize(weight, inputs.T @ inputs)
    assert not codes[2].any()
    assert off(weight, codes * scales, inputs) < 0.01
