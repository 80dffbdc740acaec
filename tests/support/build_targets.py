"""Build targets of tiny bundles."""

from engine.bundle.io import Bundle
from engine.generate.schedule import Schedule
from engine.kernels.build_target import BuildTarget, Log, ignore
from engine.system.cache import cache_folder
from tests.support.tiny_bundle import tiny_bundle


def target_of(
    bundle: Bundle | None = None, schedule: Schedule | None = None, log: Log = ignore
) -> BuildTarget:
    """A target whose files go to the cache folder of the test."""
    bundle = bundle or tiny_bundle()
    return BuildTarget(bundle, schedule or bundle.config.schedule, cache_folder(), log)
