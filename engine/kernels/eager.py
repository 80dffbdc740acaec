"""The eager kernel: the gesture model as PyTorch runs it, on the device the model is on.

The kernel that every other one must match. Takes windows of any length.
"""

import torch
from torch import nn

from engine.kernels.base import WindowInputs, WindowOutputs


class EagerKernel:
    """Runs a gesture model, put into evaluation mode, without gradients."""

    name = "eager"

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval()

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        with torch.inference_mode():
            return self._model(inputs)
