import sys
from pathlib import Path

import numpy as np
import pytest

import engine.audio.voice_gate as gate_module
from engine.audio.voice_gate import VoiceGate
from engine.clock import FrameClock
from engine.errors import ConfigError
from tests.support.audio import babble
from tests.support.laws import look_ahead_law, reset_law, snapshot_law, split_law

CLOCK = FrameClock()


class LoudDetector:
    """Detects speech by peak level, so that attack and hangover times are exact."""

    def __call__(self, step: bytes) -> bool:
        return bool(np.abs(np.frombuffer(step, np.int16)).max() > 1000)


@pytest.fixture
def loud_gate(monkeypatch: pytest.MonkeyPatch) -> VoiceGate:
    monkeypatch.setattr(VoiceGate, "_new_detector", lambda self: LoudDetector())
    return VoiceGate(CLOCK)


@pytest.fixture(params=[pytest.param("webrtc", marks=pytest.mark.vad), "energy"])
def any_gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> VoiceGate:
    """Gate with either detector, reset so often that short audio covers a reset."""
    monkeypatch.setattr(gate_module, "_PERIOD", 50)
    monkeypatch.setattr(gate_module, "_WARM_UP", 20)
    if request.param == "energy":
        monkeypatch.setitem(sys.modules, "webrtcvad", None)
    return VoiceGate(CLOCK)


def pulse(start_ms: int, end_ms: int, total_ms: int = 1000) -> np.ndarray:
    sound = np.zeros(16 * total_ms, np.float32)
    sound[16 * start_ms : 16 * end_ms] = 0.5
    return sound


def test_the_streaming_laws(any_gate: VoiceGate) -> None:
    sound = babble(2.0)
    opened = split_law(any_gate, sound)
    assert opened.dtype == np.bool_
    assert len(opened) == 60
    assert 0 < opened.sum() < 60
    look_ahead_law(any_gate, sound, lambda k: CLOCK.first_sample(k + 1), range(0, 60, 7))
    snapshot_law(any_gate, sound, (0, 100, 8160, 20000))
    reset_law(any_gate, sound)


def test_silence_stays_closed(any_gate: VoiceGate) -> None:
    assert not any_gate.feed(np.zeros(16000, np.float32)).any()


def test_the_gate_opens_within_20_ms_and_holds_for_250_ms(loud_gate: VoiceGate) -> None:
    opened = loud_gate.feed(pulse(300, 400))
    frames = np.flatnonzero(opened)
    assert frames[0] == 9  # frame 9 starts at 300 ms; two loud steps end within it
    assert frames[-1] == 19  # 400 ms + 250 ms = 650 ms, in frame 19
    assert opened[9:20].all()


def test_a_click_does_not_open_the_gate(loud_gate: VoiceGate) -> None:
    assert not loud_gate.feed(pulse(300, 310)).any()


def test_memory_does_not_grow_with_the_audio(loud_gate: VoiceGate) -> None:
    loud_gate.feed(np.zeros(16000 * 30, np.float32))
    assert len(loud_gate._opened) <= 1
    assert len(loud_gate._received) <= gate_module._PERIOD + gate_module._WARM_UP


def test_every_frame_has_a_decision_at_high_frame_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VoiceGate, "_new_detector", lambda self: LoudDetector())
    fast = VoiceGate(FrameClock(16000, 240))
    opened = split_law(fast, pulse(300, 400))
    frames = np.flatnonzero(opened)
    assert (np.diff(frames) == 1).all()
    assert frames[0] == pytest.approx(0.32 * 240, abs=1.5)
    assert frames[-1] == pytest.approx(0.65 * 240, abs=3)


def test_missing_webrtcvad_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    assert "pip install webrtcvad-wheels" in VoiceGate(CLOCK).note


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import pkg_resources_of_old", "No module named 'pkg_resources_of_old'"),
        (
            "class DistributionNotFound(Exception): pass\nraise DistributionNotFound('x')",
            "NotFound",
        ),
        ("raise OSError('undefined symbol')", "OSError: undefined symbol"),
        ("", "has no attribute 'Vad'"),
    ],
)
def test_a_broken_webrtcvad_is_replaced_and_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, reason: str
) -> None:
    (tmp_path / "webrtcvad.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "webrtcvad", raising=False)
    gate = VoiceGate(CLOCK)
    assert "webrtcvad is broken" in gate.note
    assert reason in gate.note
    assert "pip install webrtcvad-wheels" in gate.note
    assert gate.feed(babble(1.0)).any()
    monkeypatch.delitem(sys.modules, "webrtcvad", raising=False)


@pytest.mark.vad
def test_with_webrtcvad_there_is_no_note() -> None:
    assert VoiceGate(CLOCK).note == ""


@pytest.mark.parametrize(
    ("clock", "settings"),
    [
        (FrameClock(22050, 30), {}),
        (CLOCK, {"mode": 4}),
        (CLOCK, {"hangover_s": -0.1}),
        (CLOCK, {"attack_s": -0.1}),
    ],
)
def test_settings_out_of_range_are_refused(clock: FrameClock, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        VoiceGate(clock, **settings)  # type: ignore[arg-type]


@pytest.mark.vad
@pytest.mark.reference
def test_real_speech_opens_the_gate_and_long_pauses_close_it(shared_dir: Path) -> None:
    import soundfile

    from engine.text.files import read_words

    take = shared_dir / "data" / "beat2" / "2_scott_0_1_1"
    sound, _ = soundfile.read(take.with_suffix(".flac"), dtype="float32")
    opened = VoiceGate(CLOCK).feed(sound)
    spoken = np.zeros(len(opened), bool)
    for word in read_words(take.with_suffix(".TextGrid")):
        spoken[CLOCK.frame_at_time(word.start_s) : CLOCK.frame_at_time(word.end_s + 0.25) + 1] = (
            True
        )
    assert opened[spoken[: len(opened)]].mean() > 0.97
    assert opened[~spoken[: len(opened)]].mean() < 0.3
