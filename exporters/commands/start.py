"""Entry points of the installed programs: signals are taken over before the slow imports begin."""

from exporters.commands.stopping import run_stoppable
from exporters.commands.terminal import EXIT_INTERRUPTED


def live() -> int:
    """`emage-live`; returns the exit status, 0 where a signal ended it."""
    return run_stoppable(_live)


def render() -> int:
    """`emage-render`; returns the exit status, that of an interruption where a signal ended it."""
    return run_stoppable(_render, stopped=EXIT_INTERRUPTED)


def _live() -> int:
    from exporters.commands.live import main

    return main()


def _render() -> int:
    from exporters.commands.render import main

    return main()
