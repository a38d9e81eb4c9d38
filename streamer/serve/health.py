"""How the service stands, and whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """How the service stands.

    Parameters
    ----------
    step_age_s
        Seconds since the last step was finished: a batch, a timer or a reload.
    behind
        Records that the broker holds and that have not been read; None while no end is known.
    undelivered_s
        For how long the oldest alert on its way has waited, 0 where there is none; None where the store does
        not say.
    causes
        Why not all is well; empty where it is.
    stuck
        Those of them that a restart may end.
    """

    step_age_s: float = 0.0
    behind: int | None = None
    undelivered_s: float | None = 0.0
    causes: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()

    @property
    def figures(self) -> Mapping[str, float | int | None]:
        """What a page shows of it."""
        age, waits = round(self.step_age_s, 1), self.undelivered_s
        return {
            "step_age_s": age,
            "behind": self.behind,
            "undelivered_s": None if waits is None else round(waits, 1),
        }
