"""Hides the libraries named in BARE_LIBRARIES from imports.

Python imports a module of this name at start; `tests.support.capabilities.hide` puts this folder
on PYTHONPATH, so that the libraries are hidden from child processes of `pytest --bare` as well.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = frozenset(os.environ.get("BARE_LIBRARIES", "").split(","))
INSTALLED = ("site-packages", "dist-packages")


class BarePathFinder(PathFinder):
    """A module finder that skips hidden modules in folders of installed packages.

    Replacement modules that a test puts elsewhere on the path are found.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in HIDDEN:
            entries = sys.path if path is None else path
            path = [entry for entry in entries if not entry.endswith(INSTALLED)]
        return super().find_spec(fullname, path, target)


sys.meta_path[:] = [BarePathFinder if f is PathFinder else f for f in sys.meta_path]
