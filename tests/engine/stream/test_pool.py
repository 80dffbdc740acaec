"""Streams of a pool equal single streams, whatever the other streams do."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from bench.quality.lookahead import Recording
from engine.bundle.io import Bundle, to_device
from engine.config.model import FrontEnd
from engine.errors import ConfigError
from engine.generate import runner
from engine.generate.decoder import Decoded
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.motion.pose import FrameFlag, PoseChunk, concatenate
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from tests.support import laws
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle

WORD = TimedWord("never", 0.3, 0.8)


def to_array(chunks: list[PoseChunk]) -> np.ndarray:
    """All values of the frames, one row per frame."""
    if not chunks:
        return np.zeros((0, 55 * 4 + 3 + 4 + 51), np.float32)
    poses = concatenate(chunks)
    arrays = (poses.rotations, poses.translation, poses.contacts, poses.face)
    return np.concatenate([a.reshape(len(poses), -1) for a in arrays], 1)


def render_alone(
    bundle: Bundle, schedule: Schedule, samples: np.ndarray, seed: int
) -> list[PoseChunk]:
    stream = GestureStream(bundle, schedule=schedule, seed=seed)
    stream.feed_words([WORD])
    stream.feed_audio(samples)
    return stream.flush()


class Client:
    """A client that opens a stream, sends audio in pieces with pauses, and finishes."""

    def __init__(self, pool: StreamPool, number: int, rng: np.random.Generator) -> None:
        self.seed = number
        self.samples = babble(float(rng.uniform(0.2, 1.6)), seed=number)
        self.chunks: list[PoseChunk] = []
        self.done = False
        self._pool, self._rng, self._fed = pool, rng, 0
        self.slot = pool.open(seed=number)
        pool.feed_words(self.slot, [WORD])

    def feed(self) -> None:
        """Feed nothing, the next piece, or finish after the last."""
        if self._rng.random() < 0.4:
            return
        piece = self.samples[self._fed : self._fed + int(self._rng.integers(1, 4000))]
        self._pool.feed_audio(self.slot, piece)
        self._fed += len(piece)
        if self._fed == len(self.samples) and not self.done:
            self._pool.finish(self.slot)
            self.done = True


def run_clients(pool: StreamPool, total: int) -> list[Client]:
    """Run `total` clients, some at the same time; each step includes a random subset."""
    rng = np.random.default_rng(7)
    clients: list[Client] = []
    open_clients: dict[int, Client] = {}
    while len(clients) < total or open_clients:
        if len(clients) < total and len(open_clients) < pool.capacity and rng.random() < 0.5:
            client = Client(pool, len(clients), rng)
            clients.append(client)
            open_clients[client.slot] = client
        for client in open_clients.values():
            client.feed()
        selected = [slot for slot in open_clients if rng.random() < 0.7]
        for slot, chunk in pool.step(selected or None).items():
            open_clients[slot].chunks.append(chunk)
        for slot in [slot for slot in open_clients if pool.is_over(slot)]:
            pool.close(slot)
            del open_clients[slot]
    return clients


POOLS = [
    (tiny_bundle, Schedule(24, 16, 1)),
    (tiny_bundle, Schedule(24, 16, 3, lookahead=2)),
    (lambda: tiny_published_bundle(FrontEnd.RHYTHM), Schedule(24, 12, 8)),
]


@pytest.mark.parametrize(("make", "schedule"), POOLS, ids=["hop 1", "look-ahead", "samples"])
def test_pooled_streams_equal_single_streams(make: Any, schedule: Schedule) -> None:
    bundle = make()
    kernel = Recording(EagerKernel(bundle.gesture))
    step = staged_step(bundle, schedule, kernel=kernel)
    clients = run_clients(StreamPool(bundle, 4, schedule=schedule, step=step), 9)
    for client in clients:
        expected = render_alone(bundle, schedule, client.samples, client.seed)
        assert [c.first for c in client.chunks] == [c.first for c in expected]
        assert [c.flags for c in client.chunks] == [c.flags for c in expected]
        np.testing.assert_allclose(to_array(client.chunks), to_array(expected), atol=2e-4)
    assert {len(inputs.speaker) for inputs in kernel.inputs} >= {1, 2, 3}, (
        "no batches of several streams"
    )


def test_a_pool_of_one_is_bit_exact_with_a_stream() -> None:
    samples = babble(1.5)
    bundle = tiny_bundle()
    pool = StreamPool(bundle, 1)
    slot = pool.open(seed=3)
    pool.feed_words(slot, [WORD])
    pool.feed_audio(slot, samples)
    pool.finish(slot)
    chunks = []
    while not pool.is_over(slot):
        chunks += list(pool.step().values())
    expected = render_alone(bundle, bundle.config.schedule, samples, 3)
    np.testing.assert_array_equal(to_array(chunks), to_array(expected))


class SlotAdapter:
    """Adapts one slot to the streaming laws, while other slots are fed, stalled and reopened."""

    def __init__(self) -> None:
        self.pool = StreamPool(tiny_bundle(), 3)
        self._noise = np.random.default_rng(5)
        self.pool.open(seed=11)
        self.slot = self.pool.open(seed=0)
        self._turn = 0

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self._turn += 1
        if self._turn % 2:
            self.pool.feed_audio(0, self._noise.uniform(-1, 1, 1500).astype(np.float32))
        if self._turn % 5 == 0:
            self.pool.close(0)
            self.pool.open(seed=self._turn)
        self.pool.feed_audio(self.slot, samples)
        chunks = []
        while self.pool.ready(self.slot):
            chunks.append(self.pool.step([self.slot])[self.slot])
            self.pool.step([0])
        return to_array(chunks)

    def reset(self) -> None:
        self.pool.close(self.slot)
        self.slot = self.pool.open(seed=0)

    def snapshot(self) -> Any:
        return self.pool.snapshot(self.slot)

    def restore(self, state: Any) -> None:
        self.pool.restore(self.slot, state)


def test_a_slot_obeys_the_laws_whatever_other_slots_do() -> None:
    adapter = SlotAdapter()
    laws.split_law(adapter, babble(0.9))
    laws.snapshot_law(adapter, babble(0.9), [0, 4000])
    laws.reset_law(adapter, babble(0.9))


def test_slots_are_independent_bit_for_bit() -> None:
    """Audio of one slot does not change a bit of another slot in the same batch."""
    results = []
    for neighbour in (np.zeros(16000, np.float32), babble(1.0, seed=9)):
        pool = StreamPool(tiny_bundle(), 2)
        first, second = pool.open(seed=0), pool.open(seed=1)
        pool.feed_audio(first, babble(1.0))
        pool.feed_audio(second, neighbour)
        chunks = []
        while pool.ready(first):
            chunks.append(pool.step()[first])
        results.append(to_array(chunks))
    np.testing.assert_array_equal(*results)


def test_a_stream_can_move_into_a_pool_and_back() -> None:
    bundle = tiny_bundle()
    samples = babble(1.5)
    expected = render_alone(bundle, bundle.config.schedule, samples, 4)
    stream = GestureStream(bundle, seed=4)
    stream.feed_words([WORD])
    stream.feed_audio(samples[:8000])
    chunks = stream.drain()
    pool = StreamPool(bundle, 2)
    pool.open(seed=1)
    slot = pool.open(seed=2)
    pool.restore(slot, stream.snapshot())
    pool.feed_audio(slot, samples[8000:16000])
    while pool.ready(slot):
        chunks.append(pool.step()[slot])
    stream.restore(pool.snapshot(slot))
    stream.feed_audio(samples[16000:])
    chunks += stream.flush()
    np.testing.assert_allclose(to_array(chunks), to_array(expected), atol=2e-4)


def test_skipped_hops_hold_the_pose_and_the_stream_continues() -> None:
    pool = StreamPool(tiny_bundle(), 2)
    held, moving = pool.open(), pool.open()
    for slot in (held, moving):
        pool.feed_audio(slot, babble(1.0))
    last = pool.step()[held]
    (chunk,) = pool.skip([held]).values()
    assert all(flag & FrameFlag.HELD for flag in chunk.flags)
    np.testing.assert_array_equal(chunk.rotations[0], last.rotations[-1])
    assert (pool.next_frame(held), pool.next_frame(moving)) == (4, 2)
    after = pool.step()[held]
    assert after.first == 4
    assert not any(flag & FrameFlag.HELD for flag in after.flags)


def test_cancel_affects_one_slot_only() -> None:
    pool = StreamPool(tiny_bundle(), 2)
    quiet, other = pool.open(seed=0), pool.open(seed=0)
    for slot in (quiet, other):
        pool.feed_audio(slot, babble(2.0))
    for _ in range(5):
        before = pool.step()
    pool.cancel(quiet)
    after = pool.step()
    assert all(flag & FrameFlag.IDLE for flag in after[quiet].flags)
    assert not np.array_equal(after[quiet].rotations, after[other].rotations)
    np.testing.assert_array_equal(before[quiet].rotations, before[other].rotations)


def test_state_arrays_are_not_reallocated() -> None:
    pool = StreamPool(tiny_bundle(), 2)
    state = pool._state
    addresses = [t.data_ptr() for t in (state.audio, state.motion, state.codes)]
    addresses += [a.ctypes.data for a in (state.frame, state.ground, state.emitted.rotations)]
    for seed in range(3):
        slot = pool.open(seed=seed)
        pool.feed_audio(slot, babble(0.5))
        pool.step()
        pool.cancel(slot)
        pool.step()
        pool.close(slot)
    assert pool._state is state
    addresses_after = [t.data_ptr() for t in (state.audio, state.motion, state.codes)]
    addresses_after += [a.ctypes.data for a in (state.frame, state.ground, state.emitted.rotations)]
    assert addresses_after == addresses


def test_invalid_slots_speakers_and_sizes_are_refused() -> None:
    bundle = tiny_bundle()
    pool = StreamPool(bundle, 1)
    with pytest.raises(ConfigError, match="slot 0 is not open; in use: none"):
        pool.feed_audio(0, np.zeros(1))
    with pytest.raises(ConfigError, match="unknown speaker 7"):
        pool.open(speaker=7)
    pool.open()
    with pytest.raises(ConfigError, match="all 1 streams of the pool are in use"):
        pool.open()
    with pytest.raises(ConfigError, match=r"slot 5 is not open; in use: \[0\]"):
        pool.close(5)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        StreamPool(bundle, 0)
    published = tiny_published_bundle(FrontEnd.WAVE)
    with pytest.raises(ConfigError, match="whole files are rendered by"):
        StreamPool(published, 1, schedule=published.config.file_schedule)


def test_streams_of_a_batch_may_have_different_speakers() -> None:
    bundle = tiny_published_bundle(FrontEnd.RHYTHM)
    kernel = Recording(EagerKernel(bundle.gesture))
    pool = StreamPool(bundle, 2, step=staged_step(bundle, kernel=kernel))
    for speaker in (0, 1):
        pool.feed_audio(pool.open(speaker), babble(0.5))
    pool.step()
    assert kernel.inputs[0].speaker.tolist() == [0, 1]
    assert pool.latency.hop_frames == 8


@pytest.mark.gpu
def test_a_pool_on_a_gpu_equals_one_on_the_cpu() -> None:
    samples = babble(1.5)
    results = []
    for device in ("cpu", "cuda"):
        pool = StreamPool(to_device(tiny_bundle(temperature=0.0), device), 3)
        slots = [pool.open() for _ in range(3)]
        for slot in slots:
            pool.feed_audio(slot, samples)
        chunks = []
        while pool.ready(slots[0]):
            chunks.append(pool.step()[slots[0]])
        results.append(to_array(chunks))
    np.testing.assert_allclose(*results, atol=1e-2)


@pytest.mark.parametrize("kind", [None, FrontEnd.WAVE, FrontEnd.RHYTHM])
def test_all_tensors_are_on_the_device_of_the_networks(
    kind: FrontEnd | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device refuses to mix with tensors of other devices."""
    bundle = tiny_bundle() if kind is None else tiny_published_bundle(kind)
    for module in bundle.modules().values():
        module.to("meta")

    def on_host(decoded: Decoded) -> Decoded:
        assert {tensor.device.type for tensor in decoded} == {"meta"}
        rotations, *others = (torch.ones(tensor.shape) for tensor in decoded[:-1])
        return Decoded(rotations, *others, decoded.motion)

    monkeypatch.setattr(runner, "to_cpu", on_host)
    bundle = dataclasses.replace(bundle, rest_codes=bundle.rest_codes.to("meta"))
    pool = StreamPool(bundle, 2)
    for _ in range(2):
        pool.feed_audio(pool.open(), babble(1.2))
    hop = pool.schedule.hop
    assert [len(chunk) for chunk in pool.step().values()] == [hop, hop]
    pool.cancel(0)
    assert [len(chunk) for chunk in (pool.skip([1]) | pool.step([0])).values()] == [hop, hop]
