"""The eager kernel: the gesture model as PyTorch runs it, on the device the model is on.

The kernel that every other one must match. Takes windows of any length.
"""

import torch
from torch import nn

from engine.model.types import WindowInputs, WindowOutputs


class EagerKernel:
    """Runs a gesture model, put into evaluation mode, without gradients.

    newest: frames that it gives of each window; all unless given.
    """

    name = "eager"

    def __init__(self, model: nn.Module, newest: int | None = None) -> None:
        self._model = model.eval()
        self._newest = newest

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        with torch.inference_mode():
            return self._model(inputs, newest=self._newest)
