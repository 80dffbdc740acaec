"""The command `emage-train STAGE --config F.toml --data DIR --out DIR`."""

import argparse
import importlib
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, GestureError

STAGES = {
    "retarget": "training.retarget",
    "compose": "training.compose",
    "beat2": "training.beat2_corpus",
    "vq": "training.vq",
    "global": "training.global_motion",
    "floors": "training.floors",
    "rest": "training.rest",
    "gesture": "training.gesture",
    "bundle": "training.bundle",
}
"""Stage to the module whose `run(config, data, out)` does it; in the order they are run."""


def read_config(path: Path | None) -> dict[str, Any]:
    """The tables of a TOML file, or nothing without one; ConfigError when it cannot be read."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"expected a TOML file at {path}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emage-train", description="Prepare data and train.")
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--config", type=Path, help="TOML file with the stage's settings")
    parser.add_argument("--data", type=Path, required=True, help="folder that the stage reads")
    parser.add_argument("--out", type=Path, required=True, help="folder that the stage writes")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; exit code 2 for a mistake in the settings or the data."""
    options = _parser().parse_args(arguments)
    try:
        config = read_config(options.config)
        stage = importlib.import_module(STAGES[options.stage])
        options.out.mkdir(parents=True, exist_ok=True)
        stage.run(config, options.data, options.out)
    except GestureError as error:
        print(f"emage-train: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
