"""emage-live from outside: its contract, its endings, and its errors for bad input."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.perf.latency import measure
from engine.audio.block import PcmBlock
from engine.bundle.io import save_bundle
from engine.clock import FrameClock
from engine.motion.pose import PoseFrame
from exporters.commands import live
from exporters.npz import read_npz
from exporters.websocket_client import WebSocketClient
from tests.support.audio import babble, sine
from tests.support.tiny_bundle import tiny_bundle

COMMAND = [sys.executable, "-m", "exporters.commands.live"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle")
    save_bundle(tiny_bundle(), directory)
    return directory


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    soundfile.write(path, babble(2.0), 16000)
    return path


def run(*arguments: object) -> int:
    return live.main([str(argument) for argument in arguments])


def last_line(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_file_at_full_speed(model: Path, speech: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.npz"
    status = run("--wav", speech, "--model", model, "--out", out, "--speed", "max", "--json")
    assert status == 0
    report = last_line(capsys)
    assert report["frames"] == 60
    assert report["bundle"] == "tiny"
    assert report["late_frames"] == 0
    data = np.load(out)
    assert data["poses"].shape == (60, 165)
    np.testing.assert_array_equal(data["first_sample"], np.arange(60) * 16000 // 30)


def test_real_time_writes_the_same_file(model: Path, speech: Path, tmp_path: Path, capsys) -> None:
    fast, slow = tmp_path / "fast.npz", tmp_path / "slow.npz"
    run("--wav", speech, "--model", model, "--out", fast, "--speed", "max")
    run("--wav", speech, "--model", model, "--out", slow, "--json")
    report = last_line(capsys)
    assert report["frames"] == 60
    assert report["audio_to_pose_ms"]["p50"] > 0
    if report["late_frames"] == 0:
        assert fast.read_bytes() == slow.read_bytes()


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(8000, 1, "PCM_U8"), (96000, 2, "PCM_24"), (44100, 1, "FLOAT")],
)
def test_any_sound_file(
    model: Path, tmp_path: Path, capsys, rate: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "sound.wav"
    sound = np.repeat(sine(220, 1.0, rate)[:, None], channels, 1)
    soundfile.write(path, sound, rate, subtype)
    assert run("--wav", path, "--model", model, "--speed", "max", "--json") == 0
    assert last_line(capsys)["frames"] == 30


def bad_files(tmp_path: Path) -> dict[str, Path]:
    empty, foreign = tmp_path / "empty.wav", tmp_path / "foreign.wav"
    empty.write_bytes(b"")
    foreign.write_text("this is no sound at all")
    return {"missing": tmp_path / "missing.wav", "empty": empty, "not audio": foreign}


@pytest.mark.parametrize("kind", ["missing", "empty", "not audio"])
def test_bad_sound_is_one_clear_line(model: Path, tmp_path: Path, capsys, kind: str) -> None:
    path = bad_files(tmp_path)[kind]
    assert run("--wav", path, "--model", model, "--speed", "max") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert path.name in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "choose --mic"),
        (("--demo", "--model", "/nowhere"), "is not a model"),
        (("--demo", "--hop", "0"), "hop"),
        (("--demo", "--hop", "99"), "window"),
        (("--demo", "--kernel", "warp"), "unknown kernel"),
        (("--demo", "--fps", "0"), "--fps"),
        (("--demo", "--fps", "241"), "--fps"),
        (("--demo", "--duration", "inf"), "--duration"),
        (("--demo", "--duration", "-1"), "--duration"),
        (("--demo", "--duration", "1e400"), "--duration"),
        (("--demo", "--seed", "-1"), "--seed"),
        (("--demo", "--seed", str(2**64)), "--seed"),
        (("--demo", "--speaker", "²"), "unknown speaker"),
        (("--demo", "--lookahead", "-1"), "--lookahead"),
        (("--stdin", "--rate", "²"), "--rate"),
        (("--demo", "--vmc", "b" * 70 + ".local:39539"), "--vmc"),
        (("--demo", "--vmc", "my..host:39539"), "--vmc"),
        (("--demo", "--vmc", "127.0.0.1:0"), "port"),
        (("--demo", "--ws", "my..host:8765"), "--ws"),
        (("--demo", "--ws", "65536"), "--ws"),
        (("--demo", "--ws", "0", "--ws-origin", "https://example.org/page"), "--ws-origin"),
        (("--demo", "--ws", "0", "--ws-origin", "example.org"), "--ws-origin"),
        (("--demo", "--out", "a" * 300 + ".npz"), "--out"),
        (("--wav", "a" * 300 + ".wav"), "--wav"),
        (("--demo", "--wav", "a.wav"), "not allowed with"),
        (("--demo", "--vmc", "nonsense:port"), "port"),
        (("--demo", "--words", "/no/words.tsv"), "words"),
        (("--demo", "--out", "/no/such/dir/x.npz"), "cannot write"),
        (("--demo", "--speaker", "nobody"), "unknown speaker"),
    ],
)
def test_errors_of_bad_options_name_the_remedy(model: Path, capsys, arguments, words: str) -> None:
    if "--model" not in arguments:
        arguments = (*arguments, "--model", model)
    assert run(*arguments, "--speed", "max") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_port_in_use(model: Path, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("--demo", "--model", model, "--ws", port, "--speed", "max") == 2
    assert str(port) in capsys.readouterr().err


def started(model: Path, *arguments: object) -> "subprocess.Popen[str]":
    command = [*COMMAND, "--model", str(model), "--ws", "127.0.0.1:0", "--json"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return next(line.split()[1] for line in process.stdout if line.startswith("websocket:"))


def next_frame(client: WebSocketClient) -> PoseFrame:
    while not isinstance(message := client.receive(10), PoseFrame):
        assert message is not None, "no frame came within ten seconds"
    return message


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_cleanly(model: Path, tmp_path: Path, name: str) -> None:
    """Three signals within a moment, as a shell and `timeout` send them together."""
    speech, out = tmp_path / "long.wav", tmp_path / "out.npz"
    soundfile.write(speech, babble(60.0), 16000)
    process = started(model, "--wav", speech, "--out", out)
    with WebSocketClient(address(process)) as client:
        while next_frame(client).index < 20:
            pass
        for _ in range(3):
            process.send_signal(getattr(signal, name))
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    report = json.loads(output.strip().splitlines()[-1])
    assert len(read_npz(out)) == report["frames"] >= 20
    samples = round(report["audio_s"] * 16000) + 8  # rounded to milliseconds
    assert report["frames"] == FrameClock().frames_complete(samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.wav", "out.npz"]


ENTRY = "import sys; from exporters.commands.start import live; sys.exit(live())"


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("module", ["numpy.linalg", "torch._C", "exporters.commands.live"])
def test_a_signal_while_it_starts_leaves_nothing(
    model: Path, tmp_path: Path, root: Path, module: str, name: str
) -> None:
    """Prints each module name at its import, to send signals at that point."""
    command = [sys.executable, "-X", "importtime", "-c", ENTRY, "--demo", "--json"]
    process = subprocess.Popen(
        [*command, "--model", str(model), "--out", str(tmp_path / "out.npz")],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.split("|")[-1].strip() == module:
            break
    for _ in range(3):
        process.send_signal(getattr(signal, name))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert output == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("speed", ["max", "realtime"])
def test_signals_at_any_moment_leave_complete_files(
    model: Path, tmp_path: Path, speed: str
) -> None:
    speech = tmp_path / "long.wav"
    soundfile.write(speech, babble(60.0), 16000)
    for run_number in range(3):
        out = tmp_path / f"out{run_number}.npz"
        process = started(model, "--wav", speech, "--out", out, "--speed", speed)
        address(process)
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            process.send_signal(getattr(signal, name))
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        frames = json.loads(output.strip().splitlines()[-1])["frames"]
        assert (len(read_npz(out)) if out.is_file() else 0) == frames
    assert not list(tmp_path.glob(".*"))


class Broken:
    """A source that raises an unexpected error after one second."""

    sample_rate = 16000
    paced = False
    delay_s = 0.0

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def blocks(self) -> Iterator[PcmBlock]:
        yield PcmBlock(babble(1.0))
        raise self.error

    def close(self) -> None:
        pass


@pytest.mark.parametrize("speed", ["max", "realtime"])
@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_a_failed_session_keeps_its_frames_and_reports_it(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    speed: str,
) -> None:
    monkeypatch.setattr(live, "_source", lambda *_: (Broken(error), "--wav"))
    out = tmp_path / "out.npz"
    assert run("--model", model, "--out", out, "--speed", speed, "--json") == 2
    output, errors = capsys.readouterr()
    assert json.loads(output.strip().splitlines()[-1])["frames"] == len(read_npz(out)) == 30
    assert errors.startswith("error: ")
    assert type(error).__name__ in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.posix
def test_a_file_is_recorded_by_one_process_and_survives_its_death(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, out = tmp_path / "long.wav", tmp_path / "out.npz"
    soundfile.write(speech, babble(60.0), 16000)
    process = started(model, "--wav", speech, "--out", out)
    with WebSocketClient(address(process)) as client:
        while next_frame(client).index < 60:
            pass
        assert run("--demo", "--model", model, "--out", out, "--speed", "max") == 2
        assert "another recording is being written" in capsys.readouterr().err
        process.kill()
        process.communicate(timeout=30)
    assert not out.exists()
    arguments = ("--demo", "--model", model, "--out", out, "--speed", "max", "--duration", "1")
    assert run(*arguments) == 0
    assert "note: recovered " in capsys.readouterr().out
    assert len(read_npz(tmp_path / "out.recovered.npz")) >= 45
    assert len(read_npz(out)) == 30


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("kind", ["--wav", "--stdin", "--ws"])
def test_a_stopped_process_continues_from_then(model: Path, tmp_path: Path, kind: str) -> None:
    sound = babble(6.0)
    soundfile.write(tmp_path / "speech.wav", sound, 16000)
    source = {"--wav": ("--wav", tmp_path / "speech.wav"), "--stdin": ("--stdin",), "--ws": ()}
    process = started(model, *source[kind], "--duration", "4")
    if kind == "--stdin":
        process.stdin.buffer.write((sound * 32767).astype("<i2").tobytes())  # type: ignore[union-attr]
        process.stdin.buffer.close()  # type: ignore[union-attr]
        process.stdin = None
    with WebSocketClient(address(process)) as client:
        if kind == "--ws":
            client.send_audio(sound)
        indices = [next_frame(client).index]
        while indices[-1] < 40:
            indices.append(next_frame(client).index)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)  # not to wait for something: this is the pause
        process.send_signal(signal.SIGCONT)
        while indices[-1] < 110:
            indices.append(next_frame(client).index)
        output, _ = process.communicate(timeout=30)
    report = json.loads(output.strip().splitlines()[-1])
    assert indices == list(range(indices[0], indices[-1] + 1)), "no gap, none twice"
    assert report["frames"] == 120
    assert report["events"]["pause"] == 1
    assert "note: the process was stopped for " in output


def test_pcm_on_standard_input_seen_from_outside(model: Path) -> None:
    samples = babble(2.0)
    seen = measure(samples, ["--model", str(model)])
    assert seen.frames == list(range(seen.frames[0], 60))
    assert seen.frames[0] <= 3
    assert seen.report["frames"] == 60
    assert (
        seen.report["audio_s"] == pytest.approx(2.0, abs=0.01) or seen.report["events"]["underrun"]
    )
    assert min(seen.latency_ms) > 0, "a frame came before its sound"


def test_a_voice_agent_talks_and_is_interrupted(model: Path) -> None:
    process = started(model, "--duration", "3")
    with WebSocketClient(address(process)) as client:
        client.subscribe(words=True, audio=True)
        client.send_audio(babble(20.0))  # far faster than real time
        client.send("words", words=[{"word": "hello", "start": 0.1, "end": 0.5}])
        loudness, last = 0.0, -1
        while last < 45:
            message = client.receive(10)
            assert message is not None
            if isinstance(message, PoseFrame):
                assert message.index > last
                last = message.index
            elif not isinstance(message, dict):
                loudness += float(np.abs(message.samples).sum())
        client.send("cancel")
        client.send("nonsense")
        assert loudness > 0
        output, _ = process.communicate(timeout=20)
    report = json.loads(output.strip().splitlines()[-1])
    assert process.returncode == 0
    assert report["frames"] == 90
    assert report["events"]["rejected_message"] == 1


def test_a_file_session_refuses_sound_from_clients(model: Path, speech: Path) -> None:
    process = started(model, "--wav", speech)
    with WebSocketClient(address(process)) as client:
        client.send_audio(babble(1.0))
        texts = []
        while not texts:
            message = client.receive(10)
            if isinstance(message, dict):
                texts.append(message)
        assert "--wav" in texts[0]["message"]
        process.communicate(timeout=20)


def test_a_file_too_short_for_any_pose_is_an_error(model: Path, tmp_path: Path, capsys) -> None:
    short, enough = tmp_path / "short.wav", tmp_path / "enough.wav"
    soundfile.write(short, babble(1.0)[:532], 16000)
    soundfile.write(enough, babble(1.0)[:534], 16000)
    assert run("--wav", short, "--model", model, "--speed", "max") == 2
    assert "532 samples at 16000 Hz (0.03 s) give no poses" in capsys.readouterr().err
    assert run("--wav", enough, "--model", model, "--speed", "max", "--json") == 0
    assert last_line(capsys)["frames"] == 1


def test_odd_and_empty_pcm(model: Path) -> None:
    command = [*COMMAND, "--model", str(model), "--stdin", "--json", "--speed", "max"]
    done = subprocess.run(command, input=b"\0" * 32001, capture_output=True, timeout=60)
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert (report["frames"], report["events"]["bad_sample"]) == (30, 1)
    done = subprocess.run(command, input=b"", capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"ended before any sound came" in done.stderr


# --- faults of the audio are reported


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("note: ")]


def test_a_missing_voice_detector_is_reported_once(
    model: Path, speech: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    assert run("--wav", speech, "--model", model, "--speed", "max") == 0
    assert [line for line in notes(capsys) if "webrtcvad-wheels" in line] == [
        "note: webrtcvad is missing: the voice gate uses loudness only and will take noise for "
        "speech; run: pip install webrtcvad-wheels"
    ]


def test_repairs_of_a_file_are_reported_once(model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "pipe.wav"
    sound = babble(2.0)
    sound[7] = np.nan
    soundfile.write(path, np.stack([sound, -sound], 1), 16000, "FLOAT")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    assert run("--wav", path, "--model", model, "--speed", "max") == 0
    told = [note for note in notes(capsys) if "webrtcvad" not in note]
    assert len(told) == 3
    assert "pipe.wav: its header does not say how long" in told[0]
    assert "NaN" in told[1]
    assert "cancel" in told[2]


@pytest.mark.parametrize("speed", ["max", "realtime"])
def test_a_damaged_file_is_one_error_after_its_sound(
    model: Path, tmp_path: Path, capsys, speed: str
) -> None:
    path = tmp_path / "damaged.flac"
    soundfile.write(path, babble(2.0), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert run("--wav", path, "--model", model, "--speed", speed) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "damaged.flac is damaged" in error


@pytest.mark.posix
@pytest.mark.parametrize(
    ("shell", "status", "words"),
    [
        ('exec "$@" --stdin <&-', 2, "standard input is closed"),
        ('exec "$@" --stdin </dev/null', 2, "ended before any sound came"),
        ('cat speech.wav | "$@" --wav /dev/stdin --speed max', 0, ""),
        ('exec "$@" --wav /dev/stdin <&-', 2, "no audio file at /dev/stdin"),
        ('exec "$@" --wav . --speed max', 2, "it is a folder"),
    ],
)
def test_standard_input_as_shells_give_it(
    model: Path, speech: Path, root: Path, shell: str, status: int, words: str
) -> None:
    result = subprocess.run(
        ["sh", "-c", shell, "sh", *COMMAND, "--model", str(model)],
        cwd=speech.parent,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status, result.stderr
    assert result.stderr.count("\n") == (1 if status else 0)
    assert words in result.stderr


@pytest.mark.posix
@pytest.mark.parametrize("rate", ["0", "-5", "10000000"])
def test_a_rate_that_cannot_be(model: Path, root: Path, rate: str) -> None:
    result = subprocess.run(
        [*COMMAND, "--stdin", "--rate", rate, "--model", str(model)],
        cwd=root,
        input=b"",
        capture_output=True,
        check=False,
    )
    assert result.returncode == 2
    (line,) = result.stderr.decode().splitlines()
    assert re.match("error: .*expected a (whole number|sample rate of 1000..768000 Hz)", line)
    assert rate in line
