"""Build targets of tiny bundles."""

import dataclasses

from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.generate.schedule import Schedule
from engine.kernels.build_target import BuildTarget, Log, ignore
from engine.system.cache import cache_folder
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


def waveform_bundle() -> Bundle:
    """A tiny waveform bundle with the window length of a published checkpoint."""
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    schedule = Schedule(window=64, seed=60, hop=2)
    return dataclasses.replace(bundle, config=dataclasses.replace(bundle.config, schedule=schedule))


def target_of(
    bundle: Bundle | None = None, schedule: Schedule | None = None, log: Log = ignore
) -> BuildTarget:
    """A target whose files are written to the cache folder of the test."""
    bundle = bundle or tiny_bundle()
    return BuildTarget(bundle, schedule or bundle.config.schedule, cache_folder(), log)
