"""What the command lines share: errors as one line, options with the same meaning."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from engine.bundle import DEFAULT_BUNDLE, Bundle
from engine.errors import GestureError
from engine.events import EventCounter
from engine.official import load_model
from engine.schedule import Schedule

EXIT_ERROR = 2


def guarded(run: Callable[..., int], *arguments: object) -> int:
    """Run; a GestureError becomes one line on standard error and exit status 2."""
    try:
        return run(*arguments)
    except GestureError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        return 0


def say(text: str) -> None:
    """A line of status for the user, visible at once."""
    print(text, flush=True)


def told_events() -> EventCounter:
    """A counter whose notes reach the user: each is a line `note: ...`, at once."""
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


def speaker_of(text: str, bundle: Bundle) -> int | str:
    """A name where the model has a speaker of that name, else a number where it is one."""
    return int(text) if text.isdigit() and text not in bundle.config.speakers else text


_ONE_CORE_PARAMETERS = 20_000_000


def load_for_use(directory: Path) -> Bundle:
    """Load a model; bind PyTorch to one core where its matrices are too small for more."""
    import torch

    bundle = load_model(directory)
    if sum(p.numel() for p in bundle.gesture.parameters()) < _ONE_CORE_PARAMETERS:
        torch.set_num_threads(1)
    return bundle


def named_schedule(name: str, bundle: Bundle) -> Schedule:
    """`offline`: the bundle's windows for whole files; `live`: its hops."""
    return bundle.config.offline if name == "offline" else bundle.config.schedule
