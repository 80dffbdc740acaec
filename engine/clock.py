"""FrameClock: which audio samples belong to which frame, in integers only.

16000 / 30 is not a whole number. Rounding it once per frame (533 samples) would lose 2.3 s in an
hour, so every position is computed from the frame index itself and nothing is ever accumulated.
"""

from dataclasses import dataclass

from engine.errors import ConfigError


@dataclass(frozen=True)
class FrameClock:
    """Maps frame indices to sample indices, both counted from the start of the stream.

    Attributes:
        sample_rate: samples per second, Hz.
        frame_rate: frames per second.

    """

    sample_rate: int = 16000
    frame_rate: int = 30

    def __post_init__(self) -> None:
        if self.frame_rate < 1 or self.sample_rate < self.frame_rate:
            raise ConfigError(
                f"a frame clock needs 1 <= frame_rate <= sample_rate, got frame_rate "
                f"{self.frame_rate} and sample_rate {self.sample_rate}"
            )

    def first_sample(self, frame: int) -> int:
        """Index of the first sample of `frame` (negative frames lie before the stream)."""
        return frame * self.sample_rate // self.frame_rate

    def frames_complete(self, samples: int) -> int:
        """How many frames have all of their audio once `samples` samples have arrived."""
        return ((samples + 1) * self.frame_rate - 1) // self.sample_rate

    def frame_at(self, sample: int) -> int:
        """The frame that contains `sample`."""
        return ((sample + 1) * self.frame_rate - 1) // self.sample_rate

    def frame_at_time(self, time_s: float) -> int:
        """The frame that contains the instant `time_s` seconds after the start."""
        return self.frame_at(int(time_s * self.sample_rate))

    def time_s(self, frame: int) -> float:
        """Seconds from the start of the stream to the first sample of `frame`."""
        return self.first_sample(frame) / self.sample_rate
