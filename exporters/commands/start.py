"""Entry points of the installed programs: signals are taken over before the slow imports begin."""

from exporters.commands.stopping import run_command


def live() -> int:
    """`emage-live`; returns the exit status."""
    return run_command(_live)


def _live() -> int:
    from exporters.commands.live import main

    return main()
