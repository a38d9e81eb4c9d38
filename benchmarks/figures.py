"""Figures: what was reached, beside what was asked for."""

from __future__ import annotations

from dataclasses import dataclass


class WrongResultError(Exception):
    """A benchmark whose work came out wrong: its time says nothing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Parameters
    ----------
    name
        What it is of.
    value
        The figure; None where it was not taken.
    unit
        ``x`` for a ratio, ``/s`` for events a second, ``ms``, ``us``, ``s``, ``KB``, ``MB``, ``%``; empty for
        a count.
    least, most
        The bound that was asked for; None for none.
    spread
        The lowest and the highest of the rounds, where there were several.
    note
        Why it was not taken, or what else there is to know.

    Examples
    --------
    >>> Figure("Full against the bare loop", 12.4, "x", least=12).verdict
    'reached'
    >>> Figure("p99", 61.0, "ms", most=50).verdict, Figure("rate", None, "/s", note="not run").verdict
    ('missed', 'not run')
    """

    name: str
    value: float | None
    unit: str
    least: float | None = None
    most: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``reached``, ``missed``, ``not run``, or nothing where nothing was asked for."""
        if self.value is None:
            return "not run"
        if self.least is None and self.most is None:
            return ""
        fits = (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )
        return "reached" if fits else "missed"


def must(holds: bool, what: str) -> None:
    """Refuse to report a figure of work that was not done right.

    Raises
    ------
    WrongResultError
        Where it does not hold.
    """
    if not holds:
        raise WrongResultError(what)
