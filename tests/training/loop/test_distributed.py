"""Distributed context of one process; several processes are tested in test_launcher.py."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from training.loop.distributed import Distributed, choose_device


class Pair(NamedTuple):
    first: Tensor
    rest: tuple[Tensor, ...]


def test_shards_cover_the_batch() -> None:
    rows = torch.arange(6)
    batch = Pair(rows, (10 * rows, rows[:, None] + 0.5))
    shards = [Distributed(rank, 3).shard(batch) for rank in range(3)]
    assert all(isinstance(shard, Pair) for shard in shards)
    assert torch.equal(torch.cat([shard.first for shard in shards]), rows)
    assert torch.equal(torch.cat([shard.rest[1] for shard in shards]), batch.rest[1])


def test_indivisible_batch_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="3 processes can share, got 10 windows: use 9"):
        Distributed(0, 3).shard(torch.zeros(10, 2))


def test_collectives_of_one_process() -> None:
    distributed, rows = Distributed(), torch.randn(4, 2, requires_grad=True)
    assert distributed.is_main
    assert torch.equal(distributed.gather(rows), rows)
    assert not distributed.gather(rows).requires_grad
    assert distributed.mean(torch.tensor(3.0)) == 3.0
    assert distributed.any(True)
    assert not distributed.any(False)
    net = nn.Linear(1, 1)
    assert distributed.wrap(net, partial=False) is net
    with distributed.main_first():
        pass


def test_devices() -> None:
    assert choose_device("cpu", 7) == torch.device("cpu")
    with pytest.raises(ConfigError, match="auto, cpu or cuda, got 'tpu'"):
        choose_device("tpu")
    if torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cuda", 0)
    else:
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(ConfigError, match="got 0 GPUs for process 1"):
            choose_device("cuda")
