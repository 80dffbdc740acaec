"""Launcher of training processes on several machines, by Ray Train.

Every machine needs this project installed, and DATA and OUT in a shared folder. A lost worker is
replaced, and the training continues from its checkpoint.
"""

import shutil
import socket
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, GestureError
from engine.system.privacy import stay_private
from training.loop.distributed import Distributed
from training.loop.launcher import TIMEOUT, Work, only_main_prints

CONNECT_TIMEOUT_S = 5.0
"""Timeout of the connection to a cluster; Ray itself would retry for minutes."""
MAX_FAILURES = 3
"""Number of restarts from the checkpoint before the training fails."""


def run_ray(work: Work, workers: int, address: str | None) -> None:
    """Train in `workers` processes on the cluster at `address`.

    address: `auto` for the cluster of this machine, HOST:PORT, or `local` and None for a temporary
    cluster. ConfigError without Ray or a cluster, GestureError if the training fails.
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
        _check_reachable(address)
        # Otherwise Ray repeats the output with the name of each worker.
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
        _raise_reported_error(folder)
        raise GestureError(f"{error}\nRun the same command again to resume") from error
    finally:
        ray.shutdown()
    _raise_reported_error(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _check_reachable(address: str | None) -> None:
    """Connect to HOST:PORT, OSError if that fails; other addresses are resolved by Ray."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()


def _trainer(work: Work, workers: int, folder: Path) -> Any:
    """Build Ray's trainer, with its state in `folder`."""
    import ray
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = ray.cluster_resources().get("GPU", 0) >= workers and work.device != "cpu"
    if work.device == "cuda" and not gpus:
        raise ConfigError(f"the cluster has fewer than {workers} GPUs: use fewer --workers")
    shutil.rmtree(folder, ignore_errors=True)
    whole = work._replace(data=work.data.resolve(), out=work.out.resolve())
    return TorchTrainer(
        _worker,
        train_loop_config=whole._asdict(),
        torch_config=TorchConfig(timeout_s=int(TIMEOUT.total_seconds())),
        scaling_config=train.ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=train.RunConfig(
            name="run",
            storage_path=str(folder),
            failure_config=train.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )


def _raise_reported_error(folder: Path) -> None:
    reported = sorted(folder.glob("error_*"))
    if reported:
        text = reported[0].read_text()
        shutil.rmtree(folder, ignore_errors=True)
        raise GestureError(text)


def _worker(work_of: dict[str, Any]) -> None:
    """Body of a worker, in a process group that Ray has initialised."""
    from ray import train
    from ray.train.torch import get_device

    work, context = Work(**work_of), train.get_context()
    distributed = Distributed(context.get_world_rank(), context.get_world_size(), get_device())
    folder = work.out / ".ray"
    if any(folder.glob("error_*")):
        return  # Ray retries, but an error in the settings would only occur again
    try:
        only_main_prints(work.run, distributed)
    except GestureError as error:
        (folder / f"error_{distributed.rank:04d}").write_text(str(error))
        raise
