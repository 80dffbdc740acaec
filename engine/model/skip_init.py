"""Skips the random initialisation of networks whose weights are loaded from a file."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWS = (torch.Tensor.uniform_, torch.Tensor.normal_)


class SkipInit(TorchFunctionMode):
    """Context manager that skips parameter initialisation; 140 M parameters are built at once.

    Buffers are computed as usual. Every parameter must be loaded before use.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in _DRAWS:
            return args[0] if args else options["tensor"]
        return func(*args, **options)
