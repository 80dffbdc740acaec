"""Building networks whose weights come from a file: drawing random ones first would be in vain.

Knows PyTorch's initialisers, not the networks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWS = (torch.Tensor.uniform_, torch.Tensor.normal_)


class SkipInit(TorchFunctionMode):
    """Within it new parameters hold whatever lay in memory; a network of 140 M is there at once.

    Buffers that a module computes are computed. Every parameter must be loaded before use.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in _DRAWS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
