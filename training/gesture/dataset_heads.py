"""Several data sets, one network: each set has heads of its own for codes of its own autoencoders.

All that listens, looks and moves is shared; what turns it into latents and class scores is not.
Knows no data.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engine.config.model import GestureConfig
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs, WindowOutputs

HEADS = ("out", "classifiers")
"""Modules whose width is that of latents or class scores."""


def is_head(name: str) -> bool:
    """Whether the parameter or layer called `name` belongs to the heads."""
    return any(each in HEADS for each in name.split("."))


class Heads(nn.Module):
    """The heads of one data set: those of a fresh network for its codes."""

    def __init__(self, config: GestureConfig) -> None:
        super().__init__()
        found = build_gesture_model(config).named_parameters()
        # Names of parameters must not hold dots.
        self.held = nn.ParameterDict({n.replace(".", "/"): p for n, p in found if is_head(n)})

    def named(self) -> dict[str, Tensor]:
        """The parameters by their names in the network."""
        return {name.replace("/", "."): value for name, value in self.held.items()}


class Headed(nn.Module):
    """The network `trunk` with the heads of another data set in the place of its own."""

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
        """As the trunk."""
        passed = {"use_audio": use_audio, "newest": newest, "onsets": onsets}
        outputs: WindowOutputs = functional_call(self.trunk, self.heads.named(), (inputs,), passed)
        return outputs


@torch.no_grad()
def whole(trunk: nn.Module, heads: Heads, config: GestureConfig) -> GestureModel:
    """A network of its own: the trunk as it is, and these heads."""
    model = build_gesture_model(config)
    shared = {name: x for name, x in trunk.state_dict().items() if not is_head(name)}
    model.load_state_dict(shared | heads.named())
    return model
