"""Loads a model from a directory with any of the three layouts."""

from collections.abc import Callable
from pathlib import Path

from engine.bundle.checkpoints import audio_2025, text_2024
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.io import CONFIG_FILE, WEIGHTS_FILE, Bundle, load_bundle
from engine.errors import BundleError, ConfigError


def load_model(
    directory: Path, on_report: Callable[[LoadReport], None] = lambda report: None
) -> Bundle:
    """Load our bundle or a published checkpoint.

    on_report: called with the report on a checkpoint's tensors, also if one of them does not fit.
    Raises BundleError with the name of the file or of the first tensor that does not fit.
    """
    if (directory / CONFIG_FILE).is_file():
        return load_bundle(directory)
    for layout in (audio_2025, text_2024):
        if layout.is_there(directory):
            try:
                return layout.read(directory, on_report)
            except ConfigError as error:
                raise BundleError(f"{directory}: {error}") from error
    raise BundleError(
        f"{directory} is not a model. Expected a bundle: {CONFIG_FILE} and {WEIGHTS_FILE}; or the "
        f"audio checkpoint of 2025: {audio_2025.FILES}; or that of 2024: {text_2024.FILES}"
    )
