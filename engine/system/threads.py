"""Number of PyTorch's threads in a process that streams, chosen when a stream is made.

Several threads wait for each other at every operation. The matrices of a small network are computed
sooner than that, and if other programs use the cores it makes each hop many times slower. A kernel
outside PyTorch leaves it little to do, and PyTorch's other threads, once used, spin on the cores
that the kernel needs. In both cases one thread is best.

PyTorch has one such number for the whole process, not one per stream: the newest stream decides. It
holds in the thread that sets it and in threads that use PyTorch for the first time later; a thread
that used PyTorch before keeps its own number.
"""

from typing import Final

import torch
from torch import nn

from engine.errors import ConfigError

_ONE_THREAD_PARAMETERS: Final = 20_000_000
_OUTSIDE: Final = ("cudagraph", "onnx", "openvino", "tensorrt")
_BEFORE: Final[dict[str, int]] = {}
"""`threads`: PyTorch's number before this module set it to one; empty if it did not."""


def computes_outside(kernel: str) -> bool:
    """Whether the kernel computes with threads of its own, or on a GPU."""
    return kernel.split("-")[0] in _OUTSIDE


def set_threads(network: nn.Module, kernel: str, threads: int | None = None) -> None:
    """Set PyTorch's number of threads for streams of `network` with the kernel of that name.

    threads: this number in any case. Unless given: one for a small network or a kernel that
    computes outside PyTorch, else the number before this function set it to one. Raises ConfigError
    for fewer than one.
    """
    before, one = usual_threads(), is_small(network) or computes_outside(kernel)
    wanted = (1 if one else before) if threads is None else threads
    if wanted < 1:
        raise ConfigError(f"threads: expected 1 or more, got {wanted}; leave it out for our choice")
    if wanted == torch.get_num_threads():
        return
    _BEFORE.clear()
    if threads is None and one:
        _BEFORE["threads"] = before
    torch.set_num_threads(wanted)


def is_small(network: nn.Module) -> bool:
    """Whether the network's matrices are too small for several threads."""
    return sum(p.numel() for p in network.parameters()) < _ONE_THREAD_PARAMETERS


def usual_threads() -> int:
    """PyTorch's number of threads when `set_threads` does not set it to one."""
    present = torch.get_num_threads()
    return _BEFORE.get("threads", present) if present == 1 else present


def graph_threads(network: nn.Module) -> int:
    """Number of threads for a graph of `network` outside PyTorch."""
    present = torch.get_num_threads()
    return present if present > 1 or is_small(network) else usual_threads()
