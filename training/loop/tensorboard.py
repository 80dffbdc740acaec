"""Curves for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from engine.errors import ConfigError


class Board:
    """Writes curves to FOLDER/tensorboard.

    first: first step of this run; later steps of an interrupted run are hidden.
    """

    def __init__(self, folder: Path, first: int = 0) -> None:
        try:
            import tensorboard  # noqa: F401 - torch's message does not say what to install
        except ImportError as error:
            raise ConfigError(
                'TensorBoard is not installed: pip install "emage-live[train]", or train without '
                "--tensorboard"
            ) from error
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write buffered points and close the file."""
        self._writer.close()
