"""load_model: a model from a directory, whichever of the three layouts it has."""

from collections.abc import Callable
from pathlib import Path

from engine.bundle.checkpoints import audio_2025, text_2024
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.io import CONFIG_FILE, WEIGHTS_FILE, Bundle, load_bundle
from engine.errors import BundleError, ConfigError


def _unheard(report: LoadReport) -> None:
    """Who only wants the model is told by an error, if at all."""


def load_model(directory: Path, tell: Callable[[LoadReport], None] = _unheard) -> Bundle:
    """The model in `directory`: our bundle, or a published checkpoint as it lies on disk.

    tell: hears what became of a checkpoint's tensors, also where one of them does not fit.
    Raises BundleError that names the file, or the first tensor that does not fit.
    """
    if (directory / CONFIG_FILE).is_file():
        return load_bundle(directory)
    for layout in (audio_2025, text_2024):
        if layout.is_there(directory):
            try:
                return layout.read(directory, tell)
            except ConfigError as error:
                raise BundleError(f"{directory}: {error}") from error
    raise BundleError(
        f"{directory} is not a model. Expected a bundle: {CONFIG_FILE} and {WEIGHTS_FILE}; or the "
        f"audio checkpoint of 2025: {audio_2025.FILES}; or that of 2024: {text_2024.FILES}"
    )
