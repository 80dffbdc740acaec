import torch
from torch import nn

from engine.model.speech_encoder import ContentRhythmAttention, SpeechBranch, SpeechEncoder


class FixedScores(nn.Module):
    """Scores that select rhythm in channel 0 and content in channel 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([20.0, -20.0, -20.0, 20.0]).expand(*x.shape[:-1], 4)


def test_the_first_score_of_a_pair_weights_the_rhythm() -> None:
    content, rhythm = torch.full((1, 2, 2), 5.0), torch.full((1, 2, 2), 7.0)
    fused = ContentRhythmAttention(FixedScores())(content, rhythm)
    torch.testing.assert_close(fused, torch.tensor([7.0, 5.0]).expand(1, 2, 2))


def test_attention_is_equation_5() -> None:
    torch.manual_seed(0)
    attention = ContentRhythmAttention(nn.Linear(8, 8))
    content, rhythm = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    scores = attention.score(torch.cat((content, rhythm), -1)).reshape(2, 3, 4, 2).softmax(-1)
    expected = scores[..., 0] * rhythm + scores[..., 1] * content
    torch.testing.assert_close(attention(content, rhythm), expected)
    alpha = attention.weights(content, rhythm)
    assert ((alpha > 0) & (alpha < 1)).all()


def test_face_and_body_have_separate_branches() -> None:
    torch.manual_seed(0)
    face = SpeechBranch(nn.Linear(3, 4))
    body = SpeechBranch(nn.Linear(3, 4), nn.Linear(2, 4), ContentRhythmAttention(nn.Linear(8, 8)))
    encoder = SpeechEncoder(nn.Identity(), nn.Embedding(5, 2), face, body)
    audio, words = torch.randn(1, 6, 3), torch.zeros(1, 6, dtype=torch.int64)
    face_features, body_features = encoder(audio, words)
    other_face, other_body = encoder(audio, words + 1)
    assert face_features.shape == body_features.shape == (1, 6, 4)
    assert torch.equal(face_features, other_face)
    assert not torch.allclose(body_features, other_body)


def test_audio_longer_than_the_window_is_cropped() -> None:
    branch = SpeechBranch(nn.Identity())
    encoder = SpeechEncoder(nn.Identity(), nn.Identity(), branch, branch)
    audio = torch.randn(1, 9, 4)
    face, _ = encoder(audio, torch.zeros(1, 6, dtype=torch.int64))
    assert torch.equal(face, audio[:, :6])
