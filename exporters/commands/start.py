"""Entry points of the installed programs; they handle signals before the slow imports begin."""

from exporters.commands.stopping import run_stoppable
from exporters.commands.terminal import EXIT_INTERRUPTED


def live() -> int:
    """`emage-live`; returns the exit status, 0 after a signal."""
    return run_stoppable(_live)


def render() -> int:
    """`emage-render`; returns the exit status, after a signal that of an interruption."""
    return run_stoppable(_render, stopped=EXIT_INTERRUPTED)


def _live() -> int:
    from exporters.commands.live import main

    return main()


def _render() -> int:
    from exporters.commands.render import main

    return main()
