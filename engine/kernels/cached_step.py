"""A whole hop as one graph that does not hear twice: `engine.kernels.fused_step` behind an
`EncoderCache`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.generate.state import EncoderState
from engine.generate.step import HopStep, NoiseSource, StepOutput
from engine.kernels.encoder_cache import EncoderCache, split_for_cache
from engine.kernels.fused_step import HopInputs, StepNetwork, graph_step
from engine.kernels.registry import Request, backend
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs
from engine.timing import Stage, Watch, no_timer


class CachedEncoderStep:
    """`step`, which takes entries in the place of samples, behind `ear`; for hops of one row.

    What it gives depends on nothing but the hop.
    """

    def __init__(self, ear: EncoderCache, step: HopStep) -> None:
        self._ear, self._step = ear, step
        self.name, self.sampler, self.decoder = step.name, step.sampler, step.decoder

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """See `HopStep`; stages are those of a `CompiledStep`, of which KERNEL hears too."""
        with watch(Stage.CHOOSE):
            noise = draw()
        with watch(Stage.KERNEL):
            heard = inputs._replace(audio=self._ear(inputs.audio))
            return self._step(heard, history, lambda: noise, no_timer, encoder)


def recalling_step(
    name: str,
    network: StepNetwork,
    request: Request,
    moved: Sequence[int],
    real: Callable[[], Sequence[HopInputs]] = tuple,
) -> CachedEncoderStep | None:
    """The hop of `network` by the backend called `name`; raises as `graph_step`. None where there
    is no kernel that recalls, see `recalling_kernel`.

    request: what windows look like that the stream shows, and real ones for the ear. real: hops of
    such windows for the graph, see `graph_step`.
    """
    model = network.window.model
    found = (
        split_for_cache(name, model, request, moved) if isinstance(model, GestureModel) else None
    )
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
    return CachedEncoderStep(found.ear, step)
