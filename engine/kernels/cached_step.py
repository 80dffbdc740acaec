"""A step behind a cache of waveform-encoder activations."""

from torch import Tensor

from engine.generate.state import EncoderState
from engine.generate.step import HopStep, NoiseSource, StagedStep, StepOutput
from engine.kernels.encoder_cache import EncoderCache
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.timing import Stage, Watch, no_timer


class CachedEncoderStep:
    """Runs the cached encoder stem, then `step` on its activations.

    The activations are in the `EncoderState` of each call. Same timing stages as `CompiledStep`;
    KERNEL includes the encoder stem.
    """

    def __init__(self, cache: EncoderCache, step: HopStep) -> None:
        self._cache, self._step = cache, step
        self.name, self.sampler, self.decoder = step.name, step.sampler, step.decoder

    @property
    def kernel(self) -> Kernel | None:
        """The kernel on samples, without cache; None if `step` is one graph of the whole hop."""
        inner = self._step
        return _Encoded(self._cache, inner.kernel) if isinstance(inner, StagedStep) else None

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """See `HopStep`."""
        with watch(Stage.CHOOSE):
            noise = draw()
        with watch(Stage.KERNEL):
            encoded = inputs._replace(audio=self._cache(inputs.audio, encoder))
            return self._step(encoded, history, lambda: noise, no_timer, encoder)


class _Encoded:
    """A kernel on samples: the encoder stem, then `tail` on activations."""

    def __init__(self, cache: EncoderCache, tail: Kernel) -> None:
        self.name = tail.name
        self._cache, self._tail = cache, tail

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """See `Kernel`."""
        empty = EncoderState.empty(len(inputs.audio))
        return self._tail(inputs._replace(audio=self._cache(inputs.audio, empty)))
