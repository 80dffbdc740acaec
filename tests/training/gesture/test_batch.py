"""Training batches: hints, corrupted history, self-generated history."""

from dataclasses import replace

import pytest
import torch

from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from tests.support.takes import take
from training.data.dataset import GestureWindows
from training.data.windows import generator
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.masking import MaskingConfig
from training.gesture.rollout import RolloutConfig
from training.gesture.settings import GestureTraining

CLEAN = MaskingConfig(
    hidden_suffixes=((1.0, 4, 4),), short_history_share=0.0, noise=0.0, frame_dropout=(0.0, 0.0)
)
SETTINGS = GestureTraining(
    window=32, batch=64, silent_fraction=0.0, word_dropout=0.0, ground_truth_fraction=0.0
)
ROLLOUT = RolloutConfig(share=0.5, hops=(2,), frames=6, seed=8)


@pytest.fixture
def draw(windows: GestureWindows, parts: dict[BodyPart, PartVae]):  # type: ignore[no-untyped-def]
    def draw_batch(settings: GestureTraining, step: int = 0) -> TrainingBatch:
        return BatchSampler(settings, windows, parts)(generator(1), step)

    return draw_batch


def test_hints_hide_joints_and_other_windows_a_suffix(draw) -> None:  # type: ignore[no-untyped-def]
    hints = MaskingConfig(hint_share=0.5, hint_ratio=(0.2, 0.8))
    settings = replace(SETTINGS, masking=hints)
    shown = draw(settings, settings.steps // 2)
    hinted = shown.hint_weight > 0
    per_frame = shown.inputs.mask.mean(-1)
    whole = ((per_frame == 0) | (per_frame == 1)).all(1)
    assert torch.equal(whole, ~hinted)
    assert shown.target[hinted].all()
    assert float(shown.hint_weight.mean()) == pytest.approx(1.0)
    assert 0.4 < float(shown.inputs.mask[hinted].mean()) < 0.55
    first = draw(settings)
    assert 0.15 < float(first.inputs.mask[hinted].mean()) < 0.25


def test_wrong_codes_change_only_visible_history(draw) -> None:  # type: ignore[no-untyped-def]
    corrupted = draw(replace(SETTINGS, masking=replace(CLEAN, wrong_codes=(0.5, 1.0))))
    again = draw(replace(SETTINGS, masking=replace(CLEAN, wrong_codes=(0.5, 0.0))))
    # Both draw the same windows; the second replaces no code.
    assert torch.equal(corrupted.codes, again.codes)
    assert torch.equal(corrupted.latents, again.latents)
    changed = ((corrupted.inputs.motion - again.inputs.motion).abs() > 0.1).any(-1)
    assert 0.2 < float(changed.any(1).float().mean()) < 0.6
    visible = corrupted.inputs.mask.amin(-1) == 0
    assert not changed[~visible].any()
    assert not changed[:, 28:].any()
    assert changed[:, 14:28].any(0).all()


def test_batch_without_wrong_codes_is_unchanged(draw) -> None:  # type: ignore[no-untyped-def]
    rare = draw(replace(SETTINGS, masking=replace(CLEAN, wrong_codes=(1e-9, 1.0))))
    clean = draw(replace(SETTINGS, masking=replace(CLEAN, wrong_codes=(1e-9, 0.0))))
    assert torch.equal(rare.inputs.motion, clean.inputs.motion)


def test_hints_get_no_noise(draw) -> None:  # type: ignore[no-untyped-def]
    rough = MaskingConfig(hint_share=0.5, noise=0.5, wrong_codes=(1.0, 1.0))
    corrupted = draw(replace(SETTINGS, masking=rough))
    smooth = draw(replace(SETTINGS, masking=replace(rough, noise=0.0, wrong_codes=(1.0, 0.0))))
    hinted = corrupted.hint_weight > 0
    assert torch.equal(corrupted.inputs.motion[hinted], smooth.inputs.motion[hinted])
    assert not torch.equal(corrupted.inputs.motion[~hinted], smooth.inputs.motion[~hinted])


def test_rollout_windows_have_the_mask_of_a_live_hop(parts: dict[BodyPart, PartVae]) -> None:
    settings = replace(SETTINGS, masking=CLEAN, rollout=ROLLOUT)
    takes = [take(False, 1), take(True, 2), take(False, 3)]
    windows = GestureWindows(takes, parts, settings.window + ROLLOUT.lead)
    batch = BatchSampler(settings, windows, parts)(generator(1))
    request = batch.rollout
    rows = request.rows
    assert 0.3 < float(rows.float().mean()) < 0.7
    assert request.hop.tolist() == [2] * 64
    assert request.batch.motion.shape[1] == 38
    # The training window is the end of the drawn one.
    assert torch.equal(request.batch.codes[:, 6:], batch.codes)
    shown = (batch.inputs.mask[rows] == 0).all(-1)
    place = torch.arange(32)
    assert torch.equal(shown, ((place >= 22) & (place < 30)).expand_as(shown))
    assert torch.equal(batch.target[rows], (place >= 30).expand_as(shown))
    assert not batch.weight[rows][:, :30].any()
    assert (batch.weight[rows][:, 30:] > 0).all()
    assert (batch.target[~rows].sum(1) == 4).all()
    assert float(batch.weight.mean()) == pytest.approx(1.0)


def test_without_rollout_the_request_is_empty(draw) -> None:  # type: ignore[no-untyped-def]
    batch = draw(SETTINGS)
    assert batch.rollout == ()
    assert batch.inputs.motion.shape[:2] == (64, 32)


def test_feature_noise_is_partly_constant_over_a_window(draw, windows: GestureWindows) -> None:  # type: ignore[no-untyped-def]
    plain = draw(replace(SETTINGS, masking=CLEAN)).inputs
    noisy = draw(replace(SETTINGS, masking=CLEAN, feature_noise=0.5)).inputs
    assert torch.equal(noisy.words, plain.words)
    away = (noisy.audio - plain.audio) / windows.audio_spread
    assert 0.1 < float(away.std()) < 0.5
    assert float(away.mean(1).abs().max()) > 0.1
