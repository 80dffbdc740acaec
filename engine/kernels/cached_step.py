"""A whole hop as one graph that does not hear twice: `engine.kernels.fused_step` behind an
`Ear`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.generate.step import Draw, HopStep, Stepped
from engine.kernels.encoder_cache import Ear, heard_apart
from engine.kernels.fused_step import HopInputs, StepNetwork, graph_step
from engine.kernels.registry import Request, backend
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs
from engine.timing import Stage, Watch, unwatched


class RecallingStep:
    """`step`, which takes entries in the place of samples, behind `ear`; for hops of one row.

    What it gives depends on nothing but the hop.
    """

    def __init__(self, ear: Ear, step: HopStep) -> None:
        self._ear, self._step = ear, step

    def __call__(self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch) -> Stepped:
        """See `HopStep`; stages are those of a `GraphStep`, of which KERNEL hears too."""
        with watch(Stage.CHOOSE):
            noise = draw()
        with watch(Stage.KERNEL):
            heard = inputs._replace(audio=self._ear(inputs.audio))
            return self._step(heard, history, lambda: noise, unwatched)


def recalling_step(
    name: str,
    network: StepNetwork,
    request: Request,
    moved: Sequence[int],
    real: Callable[[], Sequence[HopInputs]] = tuple,
) -> RecallingStep | None:
    """The hop of `network` by the backend called `name`; raises as `graph_step`. None where there
    is no kernel that recalls, see `recalling_kernel`.

    request: what windows look like that the stream shows, and real ones for the ear. real: hops of
    such windows for the graph, see `graph_step`.
    """
    model = network.window.model
    found = heard_apart(name, model, request, moved) if isinstance(model, GestureModel) else None
    if found is None:
        return None
    first = found.first

    def heard() -> list[HopInputs]:
        with torch.inference_mode():
            return [
                hop._replace(window=hop.window._replace(audio=first(hop.window.audio)))
                for hop in real()
            ]

    later = StepNetwork(found.later, network.newest, network.chooser, network.decoder)
    step = graph_step(later, found.request.shape, backend(name), request.settings, heard)
    return RecallingStep(found.ear, step)
