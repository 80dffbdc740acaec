"""The command `emage-train STAGE --config F.toml --data DIR --out DIR`."""

import argparse
import importlib
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.system.version import version_line
from exporters.commands.options import CommandParser, run_command, whole

STAGES = {
    "retarget": "training.sources.retarget",
    "compose": "training.composer.compose",
    "beat2": "training.sources.beat2_corpus",
    "import": "training.sources.import_stage",
    "vq": "training.vq.stage",
    "root-motion": "training.vq.root_motion",
    "eval-vq": "training.vq.evaluate",
    "rest-pose": "training.vq.rest_pose",
    "gesture": "training.gesture.stage",
    "bundle": "training.bundle",
}
"""Module with `run(config, data, out)` by stage, in the order of use."""

TRAINED = ("vq", "root-motion", "gesture")
"""Stages that use `training.loop.loop`; their `run` also takes a `Distributed`."""


def read_config(path: Path | None) -> dict[str, Any]:
    """Read the tables of a TOML file; empty without a path. ConfigError if it cannot be read."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"expected a TOML file at {path}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="emage-train", description="Prepare data and train.")
    parser.add_argument("--version", action="version", version=version_line())
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--config", type=Path, help="TOML file with the stage's settings")
    parser.add_argument("--data", type=Path, required=True, help="folder that the stage reads")
    parser.add_argument("--out", type=Path, required=True, help="folder that the stage writes")
    parser.add_argument("--kind", help="what the stage import reads: bvh, amass or smartbody")
    parser.add_argument(
        "--speech", type=Path, metavar="DIR", help="recorded utterances for the stage compose"
    )
    trained = parser.add_argument_group(f"stages that train ({', '.join(TRAINED)})")
    many = trained.add_mutually_exclusive_group()
    many.add_argument("--processes", type=whole(1), metavar="N", help="train in N processes here")
    many.add_argument("--workers", type=whole(1), metavar="N", help="train in N processes by Ray")
    trained.add_argument("--address", help="of the Ray cluster: auto, or HOST:PORT")
    trained.add_argument("--tensorboard", action="store_true", help="write OUT/**/tensorboard")
    return parser


def _train(options: argparse.Namespace, config: dict[str, Any]) -> None:
    """Run a training stage in the requested number of processes."""
    from training.loop import launcher

    if options.tensorboard:
        config = {**config, "loop": {**config.get("loop", {}), "tensorboard": True}}
    work = launcher.Work(STAGES[options.stage], config, options.data, options.out)
    if options.workers:
        from training.loop import ray_launcher

        ray_launcher.run_ray(work, options.workers, options.address)
    elif (options.processes or 1) > 1:
        launcher.run_processes(work, options.processes)
    else:
        launcher.run_single(work)


def _check(options: argparse.Namespace) -> None:
    """Check options against each other and the data folder; ConfigError on a conflict."""
    several = options.processes or options.workers or options.tensorboard
    if several and options.stage not in TRAINED:
        raise ConfigError(
            f"the stage {options.stage} does not train: run it without --processes, --workers and "
            "--tensorboard"
        )
    if options.kind and options.stage != "import":
        raise ConfigError(f"--kind is for the stage import, not for {options.stage}")
    if options.speech and options.stage != "compose":
        raise ConfigError(f"--speech is for the stage compose, not for {options.stage}")
    if options.address and not options.workers:
        raise ConfigError("--address names a Ray cluster: say how many --workers to use")
    if not options.data.is_dir():
        raise ConfigError(
            f"expected a folder at --data {options.data}, there is none: see docs/training.md "
            f"for what the stage {options.stage} reads"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; exit code 2 for a mistake in the settings or the data."""
    return run_command(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    _check(options)
    config = read_config(options.config)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.stage in TRAINED:
        _train(options, config)
    else:
        stage = importlib.import_module(STAGES[options.stage])
        given = {"kind": options.kind, "speech": options.speech}
        config |= {name: value for name, value in given.items() if value}
        stage.run(config, options.data, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
