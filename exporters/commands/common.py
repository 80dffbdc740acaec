"""Shared parts of the command lines: output, options with the same meaning, loading models."""

import argparse
from pathlib import Path

from engine.bundle.checkpoints.load import load_model
from engine.bundle.io import DEFAULT_BUNDLE, Bundle
from engine.events import EventCounter
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.registry import KERNEL_NAMES
from engine.stream.select_step import AUTO
from engine.system.threads import set_threads
from exporters.commands.options import SEEDS, number_in, whole
from exporters.commands.terminal import EXIT_ERROR as EXIT_ERROR
from exporters.commands.terminal import complain as complain
from exporters.commands.terminal import run_cli as run_cli
from exporters.commands.terminal import say as say


def reporting_events() -> EventCounter:
    """An event counter whose notes are printed at once as lines `note: ...`."""
    return EventCounter(lambda text: say(f"note: {text}"))


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --speaker."""
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_BUNDLE,
        metavar="DIR",
        help="a bundle (default: ours) or a published EMAGE checkpoint as it lies on disk",
    )
    parser.add_argument(
        "--speaker", default="0", metavar="NAME", help="speaker's name, or number from 0 (default)"
    )


def add_kernel_option(parser: argparse.ArgumentParser) -> None:
    """--kernel."""
    parser.add_argument(
        "--kernel",
        default=AUTO,
        metavar="NAME",
        help=f"{', '.join(KERNEL_NAMES)}; or {AUTO} (default): the fastest that matches eager "
        "here, chosen once",
    )


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=whole(0, SEEDS - 1), default=0, metavar="N")


def parse_speaker(text: str, bundle: Bundle) -> int | str:
    """The text as a speaker name if the model has it, else its number if it is one."""
    number = number_in(text)
    return text if number is None or text in bundle.config.speakers else number


def load_bundle_for_cli(directory: Path) -> Bundle:
    """Load a model and set PyTorch's threads for it; kernels are built and timed with them."""
    bundle = load_model(directory)
    set_threads(bundle.gesture, EagerKernel.name)
    return bundle


def schedule_by_name(name: str, bundle: Bundle) -> Schedule:
    """`offline`: the bundle's windows for whole files; `live`: its hops."""
    return bundle.config.file_schedule if name == "offline" else bundle.config.schedule
