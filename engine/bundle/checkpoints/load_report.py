"""LoadReport: what became of every tensor of a checkpoint, and the first that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.errors import BundleError

_NAMED: Final = 5


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors as the checkpoint has them; those of several files may be alike.

    leftovers: expected, and not needed. misfits: of another shape, or not finite. problem: the
    first that does not fit, in words; empty where all is well.
    """

    matched: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    problem: str = ""

    def lines(self) -> list[str]:
        """For the user: a count and some names each."""
        return [
            f"tensors matched: {len(self.matched)}",
            f"expected leftovers: {_names(self.leftovers, _groups(self.leftovers))}",
            f"missing: {_names(self.missing)}",
            f"misfitting: {_names(self.misfits)}",
            f"unexpected: {_names(self.unexpected)}",
        ]

    def require(self) -> None:
        """Raise BundleError with the first tensor that does not fit, and how many others."""
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
    """One report of several files."""
    return LoadReport(
        matched=tuple(name for report in reports for name in report.matched),
        leftovers=tuple(name for report in reports for name in report.leftovers),
        missing=tuple(name for report in reports for name in report.missing),
        misfits=tuple(name for report in reports for name in report.misfits),
        unexpected=tuple(name for report in reports for name in report.unexpected),
        problem=next((report.problem for report in reports if report.problem), ""),
    )


def _groups(names: Sequence[str]) -> list[str]:
    """Leftovers come by the layer: the beginnings of their names are enough."""
    return list(dict.fromkeys(name.split(".")[0] for name in names))


def _names(names: Sequence[str], shown: Sequence[str] | None = None) -> str:
    """`7 (a, b, c, d, e, ...)`."""
    shown = names if shown is None else shown
    more = ", ..." if len(shown) > _NAMED else ""
    return f"{len(names)}" + (f" ({', '.join(shown[:_NAMED])}{more})" if names else "")
