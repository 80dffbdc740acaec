"""Several machines that train together, by Ray Train; the only file that knows Ray.

Every machine needs this project installed, and DATA and OUT in a folder that all of them share. A
worker that is lost is replaced, and the training goes on from its checkpoint.
"""

import shutil
import socket
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, GestureError
from engine.system.privacy import stay_private
from training.loop.distributed import Distributed
from training.loop.launcher import PATIENCE, Work, speak_for_all

ANSWERS_S = 5.0
"""How long a cluster's first machine may take to answer; Ray itself would ask for minutes."""
LOST_WORKERS = 3
"""How often a training begins again from its checkpoint before it gives up."""


def across(work: Work, workers: int, address: str | None) -> None:
    """Train in `workers` processes on the cluster at `address`.

    address: `auto` for the cluster that this machine belongs to, HOST:PORT, or `local` and None for
    one that begins and ends with the training. GestureError when it fails.
    """
    stay_private()
    try:
        import ray
        from ray import train
    except ImportError as error:
        raise ConfigError(
            'Ray is not installed: pip install "emage-live[cluster]", or use --processes on one '
            "machine"
        ) from error
    try:
        # Ray would print in the name of each worker what the leader says for all.
        _knock(address)
        quiet = {"env_vars": {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}}
        ray.init(address=address or "local", runtime_env=quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"no Ray cluster at {address}: {error}. Start one with `ray start --head` and let the "
            "other machines join it with `ray start --address HOST:PORT`"
        ) from error
    folder = work.out.resolve() / ".ray"
    try:
        _trainer(work, workers, folder).fit()
    except train.TrainingFailedError as error:
        _raise_what_was_said(folder)
        raise GestureError(f"{error}\nGive the same command again to go on") from error
    finally:
        ray.shutdown()
    _raise_what_was_said(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _knock(address: str | None) -> None:
    """OSError where HOST:PORT does not answer; other addresses are Ray's own to look up."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), ANSWERS_S).close()


def _trainer(work: Work, workers: int, folder: Path) -> Any:
    """Ray's trainer; what it notes of its own goes into `folder`."""
    import ray
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = ray.cluster_resources().get("GPU", 0) >= workers and work.device != "cpu"
    if work.device == "cuda" and not gpus:
        raise ConfigError(f"the cluster has fewer than {workers} GPUs: use fewer --workers")
    shutil.rmtree(folder, ignore_errors=True)
    whole = work._replace(data=work.data.resolve(), out=work.out.resolve())
    return TorchTrainer(
        _member,
        train_loop_config=whole._asdict(),
        torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
        scaling_config=train.ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=train.RunConfig(
            name="run",
            storage_path=str(folder),
            failure_config=train.FailureConfig(max_failures=LOST_WORKERS),
        ),
    )


def _raise_what_was_said(folder: Path) -> None:
    said = sorted(folder.glob("error_*"))
    if said:
        text = said[0].read_text()
        shutil.rmtree(folder, ignore_errors=True)
        raise GestureError(text)


def _member(work_of: dict[str, Any]) -> None:
    """One worker. Ray has let the workers meet before."""
    from ray import train
    from ray.train.torch import get_device

    work, context = Work(**work_of), train.get_context()
    team = Distributed(context.get_world_rank(), context.get_world_size(), get_device())
    folder = work.out / ".ray"
    if any(folder.glob("error_*")):
        return  # Ray tries again, but a mistake in the settings would only be repeated
    try:
        speak_for_all(work.run, team)
    except GestureError as error:
        (folder / f"error_{team.rank:04d}").write_text(str(error))
        raise
