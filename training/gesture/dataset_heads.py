"""Output heads per data set on a shared network, for the codes of its own autoencoders."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engine.config.model import GestureConfig
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs, WindowOutputs

HEADS = ("out", "classifiers")
"""Modules whose width depends on the latents or the number of codes."""


def is_head(name: str) -> bool:
    """Return True if the parameter or layer `name` belongs to the heads."""
    return any(each in HEADS for each in name.split("."))


class Heads(nn.Module):
    """Newly initialised heads of one data set."""

    def __init__(self, config: GestureConfig) -> None:
        super().__init__()
        found = build_gesture_model(config).named_parameters()
        # Parameter names must not contain dots.
        self.held = nn.ParameterDict({n.replace(".", "/"): p for n, p in found if is_head(n)})

    def named(self) -> dict[str, Tensor]:
        """Parameters by their names in the network."""
        return {name.replace("/", "."): value for name, value in self.held.items()}


class WithHeads(nn.Module):
    """The network `trunk` with the heads of another data set."""

    def __init__(self, trunk: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads

    def forward(
        self,
        inputs: WindowInputs,
        *,
        use_audio: bool = True,
        newest: int | None = None,
        onsets: Tensor | None = None,
    ) -> WindowOutputs:
        """Same as the trunk."""
        passed = {"use_audio": use_audio, "newest": newest, "onsets": onsets}
        outputs: WindowOutputs = functional_call(self.trunk, self.heads.named(), (inputs,), passed)
        return outputs


@torch.no_grad()
def merge_heads(trunk: nn.Module, heads: Heads, config: GestureConfig) -> GestureModel:
    """Build a separate network from the trunk and the heads of a data set."""
    model = build_gesture_model(config)
    shared = {name: x for name, x in trunk.state_dict().items() if not is_head(name)}
    model.load_state_dict(shared | heads.named())
    return model
