"""Makes the libraries named in BARE_LIBRARIES look as if they were not installed.

Python imports a module of this name when it starts; `tests.support.capabilities.hide` puts this
folder on PYTHONPATH, so that the children of `pytest --bare` are as bare as itself.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = frozenset(os.environ.get("BARE_LIBRARIES", "").split(","))
INSTALLED = ("site-packages", "dist-packages")


class BarePathFinder(PathFinder):
    """The finder of modules, which does not see the hidden ones where libraries are installed.

    A stand-in that a test puts elsewhere on the path is found.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in HIDDEN:
            places = sys.path if path is None else path
            path = [place for place in places if not place.endswith(INSTALLED)]
        return super().find_spec(fullname, path, target)


sys.meta_path[:] = [BarePathFinder if f is PathFinder else f for f in sys.meta_path]
