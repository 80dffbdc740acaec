import pytest
import torch

from engine.errors import ShapeError
from engine.model.audio_encoder import FeatureEncoder, WaveEncoder, fit_frames


def test_the_feature_encoder_is_causal_with_the_declared_context() -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(3, 8, (1, 2, 4), 3).double()
    audio = torch.randn(1, 40, 3, dtype=torch.float64, requires_grad=True)
    encoder(audio)[0, 25].square().sum().backward()
    used = audio.grad[0].abs().sum(-1).nonzero().flatten()
    assert encoder.left_context == 14
    assert (int(used.min()), int(used.max())) == (25 - 14, 25)


def test_the_output_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(3, 8, (1, 2), 3).train()
    audio = torch.randn(4, 9, 3)
    torch.testing.assert_close(encoder(audio)[2:3], encoder(audio[2:3]))


def test_dilated_taps_are_a_dilated_convolution() -> None:
    torch.manual_seed(0)
    taps = FeatureEncoder(3, 4, (3,), 3).taps[0]
    weight = taps.linear.weight.view(4, 3, 4).permute(0, 2, 1)
    x = torch.randn(2, 10, 4)
    padded = torch.nn.functional.pad(x.transpose(1, 2), (6, 0))
    expected = torch.nn.functional.conv1d(padded, weight, taps.linear.bias, dilation=3)
    torch.testing.assert_close(taps(x), expected.transpose(1, 2))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_waveform_encoder_covers_a_window(channels: int) -> None:
    encoder = WaveEncoder(channels, 8).eval()
    shape = (1, 64 * 533) if channels == 1 else (1, 64 * 533, 2)
    out = encoder(torch.randn(shape))
    assert out.shape[0] == 1
    assert out.shape[2] == 8
    assert out.shape[1] >= 64


def test_the_waveform_encoder_has_600_ms_of_right_context() -> None:
    torch.manual_seed(0)
    encoder = WaveEncoder(1, 8).double().eval()
    audio = torch.randn(1, 40000, dtype=torch.float64, requires_grad=True)
    frame = 20
    encoder(audio)[0, frame].square().sum().backward()
    last = int(audio.grad[0].nonzero().max())
    assert 9000 < last - 540 * frame < 10000


def test_surplus_frames_are_cropped_and_missing_ones_repeat_the_last() -> None:
    x = torch.arange(5.0)[None, :, None]
    assert fit_frames(x, 3).flatten().tolist() == [0, 1, 2]
    assert fit_frames(x, 7).flatten().tolist() == [0, 1, 2, 3, 4, 3, 4]
    with pytest.raises(ShapeError, match="covers 5 of 11 frames"):
        fit_frames(x, 11)


def test_only_the_feature_range_is_used() -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(6, 4, (1,), 3, feature_range=(2, 5))
    audio = torch.randn(1, 9, 6)
    before = encoder(audio)
    for channel in range(6):
        other = audio.clone()
        other[..., channel] += 1.0
        assert torch.equal(encoder(other), before) is (channel not in (2, 3, 4))
