"""Heads of several data sets on one trunk."""

from dataclasses import replace

import torch

from engine.config.model import GestureConfig
from engine.config.presets import live_config, paper_config
from engine.model.builders import build_gesture_model
from engine.model.types import WindowInputs
from training.gesture.dataset_heads import Headed, Heads, is_head, whole


def config(codes: int, code_dim: int) -> GestureConfig:
    made = live_config(6, 10, width=16, codes=codes, code_dim=code_dim)
    return replace(made, heads=2, dropout=0.0)


def inputs() -> WindowInputs:
    torch.manual_seed(2)
    return WindowInputs(
        torch.randn(2, 12, 337),
        torch.zeros(2, 12, 337),
        torch.randn(2, 12, 6),
        torch.randint(10, (2, 12)),
        torch.zeros(2, dtype=torch.int64),
    )


def test_heads_are_what_depends_on_the_codes() -> None:
    for make in (
        lambda codes, width: config(codes, width),
        lambda codes, width: paper_config(10, width=16, speakers=1, audio_width=8, motion_width=8,
                                          codes=codes, code_dim=width, word_width=8),
    ):  # fmt: skip
        one, two = (build_gesture_model(make(*sizes)).state_dict() for sizes in ((12, 8), (20, 5)))
        assert one.keys() == two.keys()
        differing = {name for name in one if one[name].shape != two[name].shape}
        assert differing
        assert all(is_head(name) for name in differing)
        # Every layer that holds such a parameter is a head as a whole.
        layers = {name.rpartition(".")[0] for name in differing}
        assert all(is_head(f"{layer}.bias") for layer in layers)


def test_other_heads_give_other_codes_and_leave_the_trunk_alone() -> None:
    trunk = build_gesture_model(config(12, 8)).eval()
    before = trunk(inputs())
    headed = Headed(trunk, Heads(config(20, 5)))
    out = headed(inputs())
    assert [x.shape[-1] for x in out.latents] == [5] * 4
    assert [x.shape[-1] for x in out.logits] == [20] * 4
    after = trunk(inputs())
    assert all(torch.equal(a, b) for a, b in zip(before.logits, after.logits, strict=True))


def test_gradients_reach_the_trunk_and_the_own_heads_only() -> None:
    trunk, heads = build_gesture_model(config(12, 8)), Heads(config(20, 5))
    sum(x.sum() for x in Headed(trunk, heads)(inputs()).logits).backward()
    for name, parameter in trunk.named_parameters():
        if is_head(name):
            assert parameter.grad is None, name
    assert trunk.motion.embed.weight.grad.abs().sum() > 0
    assert all(p.grad is not None for p in heads.parameters())


def test_a_whole_network_does_what_the_trunk_does_with_these_heads() -> None:
    trunk, heads, own = build_gesture_model(config(12, 8)), Heads(config(20, 5)), config(20, 5)
    made, expected = whole(trunk, heads, own).eval(), Headed(trunk, heads).eval()(inputs())
    found = made(inputs())
    for a, b in zip(found.logits, expected.logits, strict=True):
        torch.testing.assert_close(a, b)
    listening = made(inputs(), use_audio=False)
    torch.testing.assert_close(
        listening.logits[1], Headed(trunk, heads).eval()(inputs(), use_audio=False).logits[1]
    )
