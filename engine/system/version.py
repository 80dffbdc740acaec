"""The installed version, from the package's metadata."""

from importlib.metadata import PackageNotFoundError, version

_PACKAGE = "emage-live"


def installed_version() -> str:
    """For example `0.1.0`; `unknown` if the sources run without being installed."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "unknown (not installed)"


def version_line() -> str:
    """The line of a program's `--version`, in argparse's format: `emage-live 0.1.0`."""
    return f"%(prog)s {installed_version()}"
