"""A step behind a cache of waveform-encoder activations."""

from engine.generate.state import EncoderState
from engine.generate.step import HopCall, HopStep, StagedStep, StepOutput
from engine.kernels.encoder_cache import EncoderCache
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.timing import Stage, no_timer


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

    def __call__(self, hop: HopCall) -> StepOutput:
        """See `HopStep`."""
        with hop.timer(Stage.CHOOSE):
            noise = hop.draw()
        with hop.timer(Stage.KERNEL):
            audio = self._cache(hop.window.audio, hop.encoder)
            encoded = hop.window._replace(audio=audio)
            return self._step(hop._replace(window=encoded, draw=lambda: noise, timer=no_timer))


class _Encoded:
    """A kernel on samples: the encoder stem, then `tail` on activations."""

    def __init__(self, cache: EncoderCache, tail: Kernel) -> None:
        self.name = tail.name
        self._cache, self._tail = cache, tail

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """See `Kernel`."""
        empty = EncoderState.empty(len(inputs.audio))
        return self._tail(inputs._replace(audio=self._cache(inputs.audio, empty)))
