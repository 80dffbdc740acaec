"""Report on the tensors of a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.errors import BundleError

_MAX_NAMES: Final = 5


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors as in the checkpoint; names in several files may be equal.

    Attributes:
        matched: loaded.
        leftovers: expected in the checkpoint, but not used.
        missing: not in the checkpoint.
        misfits: of another shape or type, or not finite.
        unexpected: not of this model.
        problem: text on the first tensor that does not fit; empty if all fit.

    """

    matched: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    problem: str = ""

    def lines(self) -> list[str]:
        """Lines for the console: a count and some names of each kind."""
        return [
            f"tensors matched: {len(self.matched)}",
            f"expected leftovers: {_names(self.leftovers, _groups(self.leftovers))}",
            f"missing: {_names(self.missing)}",
            f"misfitting: {_names(self.misfits)}",
            f"unexpected: {_names(self.unexpected)}",
        ]

    def require(self) -> None:
        """Raise BundleError on the first tensor that does not fit, with the counts of all kinds."""
        if not self.problem:
            return
        counts = ", ".join(
            f"{len(names)} {kind}"
            for kind, names in (
                ("matched", self.matched),
                ("missing", self.missing),
                ("misfitting", self.misfits),
                ("unexpected", self.unexpected),
            )
        )
        raise BundleError(f"{self.problem} (in all: {counts})")


def joined(reports: Sequence[LoadReport]) -> LoadReport:
    """Join the reports on several files."""
    kinds = ("matched", "leftovers", "missing", "misfits", "unexpected")
    names = {k: tuple(name for report in reports for name in getattr(report, k)) for k in kinds}
    problem = next((report.problem for report in reports if report.problem), "")
    return LoadReport(**names, problem=problem)


def _groups(names: Sequence[str]) -> list[str]:
    """Distinct first components of the names: leftovers are whole layers."""
    return list(dict.fromkeys(name.split(".")[0] for name in names))


def _names(names: Sequence[str], shown: Sequence[str] | None = None) -> str:
    """`7 (a, b, c, d, e, ...)`."""
    shown = names if shown is None else shown
    more = ", ..." if len(shown) > _MAX_NAMES else ""
    return f"{len(names)}" + (f" ({', '.join(shown[:_MAX_NAMES])}{more})" if names else "")
