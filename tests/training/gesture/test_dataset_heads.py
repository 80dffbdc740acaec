"""Heads of several data sets on a shared network."""

from dataclasses import replace

import torch

from engine.config.model import GestureConfig
from engine.config.presets import live_config, paper_config
from engine.model.builders import build_gesture_model
from engine.model.types import WindowInputs
from training.gesture.dataset_heads import Heads, WithHeads, is_head, merge_heads


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


def test_heads_are_the_parameters_that_depend_on_the_codes() -> None:
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
        # A layer with such a parameter is a head with all its parameters.
        layers = {name.rpartition(".")[0] for name in differing}
        assert all(is_head(f"{layer}.bias") for layer in layers)


def test_other_heads_do_not_change_the_trunk() -> None:
    trunk = build_gesture_model(config(12, 8)).eval()
    before = trunk(inputs())
    headed = WithHeads(trunk, Heads(config(20, 5)))
    out = headed(inputs())
    assert [x.shape[-1] for x in out.latents] == [5] * 4
    assert [x.shape[-1] for x in out.logits] == [20] * 4
    after = trunk(inputs())
    assert all(torch.equal(a, b) for a, b in zip(before.logits, after.logits, strict=True))


def test_gradients_reach_only_the_trunk_and_the_selected_heads() -> None:
    trunk, heads = build_gesture_model(config(12, 8)), Heads(config(20, 5))
    sum(x.sum() for x in WithHeads(trunk, heads)(inputs()).logits).backward()
    for name, parameter in trunk.named_parameters():
        if is_head(name):
            assert parameter.grad is None, name
    assert trunk.motion.embed.weight.grad.abs().sum() > 0
    assert all(p.grad is not None for p in heads.parameters())


def test_merged_network_equals_trunk_with_heads() -> None:
    trunk, heads, own = build_gesture_model(config(12, 8)), Heads(config(20, 5)), config(20, 5)
    made, expected = merge_heads(trunk, heads, own).eval(), WithHeads(trunk, heads).eval()(inputs())
    found = made(inputs())
    for a, b in zip(found.logits, expected.logits, strict=True):
        torch.testing.assert_close(a, b)
    without_audio = made(inputs(), use_audio=False)
    torch.testing.assert_close(
        without_audio.logits[1], WithHeads(trunk, heads).eval()(inputs(), use_audio=False).logits[1]
    )
