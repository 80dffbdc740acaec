import numpy as np
import pytest

from engine.audio.resample import Quality, Resampler, longest_hold
from engine.errors import ConfigError
from engine.events import BAD_SAMPLE, EventCounter
from tests.support.audio import babble, is_in_phase, sine
from tests.support.laws import reset_law, split_law


@pytest.mark.parametrize("quality", list(Quality))
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_any_split_gives_the_same_samples(rate: int, quality: Quality) -> None:
    resampler = Resampler(rate, 16000, quality=quality)
    sound = babble(0.6, rate)
    split_law(resampler, sound)
    reset_law(resampler, sound)


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_a_sine_keeps_its_phase_and_level(rate: int) -> None:
    resampler = Resampler(rate, 16000)
    output = np.concatenate([resampler.feed(sine(440, 1.0, rate)), resampler.flush()])
    assert len(output) == 16000
    assert is_in_phase(output, 440)


@pytest.mark.parametrize("rate", [24000, 44100, 48000])
def test_the_delay_is_at_most_the_declared_delay(rate: int) -> None:
    resampler = Resampler(rate, 16000)
    block = rate // 100
    taken = output = 0
    for start in range(0, 3 * rate, block):
        output += len(resampler.feed(sine(300, 0.01, rate)))
        taken = start + block
        assert resampler.held_s == pytest.approx(max(0.0, taken / rate - output / 16000))
        assert resampler.held_s <= resampler.delay_s + 1e-9
    assert 0.005 < resampler.delay_s < 0.015
    assert resampler.delay_s < longest_hold(rate, 16000, Quality.FILE)


@pytest.mark.parametrize("rate", [24000, 32000, 44100, 48000])
def test_the_held_time_does_not_jitter(rate: int) -> None:
    resampler = Resampler(rate, 16000)
    held = []
    for _ in range(100):
        resampler.feed(np.zeros(rate // 100, np.float32))
        held.append(resampler.held_s)
    assert max(held[5:]) - min(held[5:]) < 2 / 16000


def test_frequencies_near_the_limit_keep_their_level() -> None:
    resampler = Resampler(48000, 16000)
    output = np.concatenate([resampler.feed(sine(7000, 1.0, 48000)), resampler.flush()])
    assert np.std(output[800:-800]) == pytest.approx(np.std(sine(7000, 1.0, 16000)), rel=0.02)


def test_equal_rates_pass_unchanged() -> None:
    resampler = Resampler(16000, 16000)
    sound = babble(0.1)
    np.testing.assert_array_equal(resampler.feed(sound), sound)
    assert resampler.flush().size == 0
    assert (resampler.delay_s, resampler.held_s) == (0.0, 0.0)


def test_flush_resets_the_state() -> None:
    resampler = Resampler(48000, 16000)
    sound = babble(0.3, 48000)
    first = np.concatenate([resampler.feed(sound), resampler.flush()])
    second = np.concatenate([resampler.feed(sound), resampler.flush()])
    np.testing.assert_array_equal(first, second)


def test_non_finite_samples_are_counted_and_do_not_spread() -> None:
    events = EventCounter()
    resampler = Resampler(48000, 16000, events=events)
    sound = np.zeros(4800, np.float32)
    sound[100] = np.nan
    assert not np.concatenate([resampler.feed(sound), resampler.flush()]).any()
    assert events.snapshot()[BAD_SAMPLE] == 1


@pytest.mark.parametrize("rate", [0, -16000, 999, 10_000_000])
def test_rates_out_of_range_are_refused(rate: int) -> None:
    with pytest.raises(ConfigError, match="sample rate"):
        Resampler(rate, 16000)
