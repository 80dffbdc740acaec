"""Curves for TensorBoard; the only file that knows its package."""

from collections.abc import Mapping
from pathlib import Path

from engine.errors import ConfigError


class Board:
    """Writes curves into FOLDER/tensorboard.

    first: the step it goes on from; what an interrupted run wrote of later steps is hidden.
    """

    def __init__(self, folder: Path, first: int = 0) -> None:
        try:
            import tensorboard  # noqa: F401 - torch's own message would not say what to install
        except ImportError as error:
            raise ConfigError(
                'TensorBoard is not installed: pip install "emage-live[train]", or train without '
                "--tensorboard"
            ) from error
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
