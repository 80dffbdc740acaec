"""What the command lines share: errors as one line, options with the same meaning."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from engine.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from engine.errors import GestureError
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


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --speaker."""
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR", help="bundle (default: ours)"
    )
    parser.add_argument(
        "--speaker", default="0", metavar="N", help="speaker's number or name (default: 0)"
    )


def speaker_of(text: str) -> int | str:
    """A number where it is one, else a name."""
    return int(text) if text.isdigit() else text


_ONE_CORE_PARAMETERS = 20_000_000


def load_for_use(directory: Path) -> Bundle:
    """Load a model; bind PyTorch to one core where its matrices are too small for more."""
    import torch

    bundle = load_bundle(directory)
    if sum(p.numel() for p in bundle.gesture.parameters()) < _ONE_CORE_PARAMETERS:
        torch.set_num_threads(1)
    return bundle


def named_schedule(name: str, bundle: Bundle) -> Schedule:
    """`offline`: the bundle's windows for whole files; `live`: its hops."""
    return bundle.config.offline if name == "offline" else bundle.config.schedule
