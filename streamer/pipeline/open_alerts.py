"""The alerts of a task's episodes: those that are open, and those that may come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.alert import rfc3339
from alerts.episodes import Extremes
from alerts.language.measure import HIGHEST, LOWEST, UNMEASURED
from alerts.rules import Rule


class OpenAlert(NamedTuple):
    """An episode's alert: its id, what its last alert said, and when it began (event time, ns)."""

    id: str
    text: str
    began_ns: int


@dataclass(slots=True)
class RuleAlerts:
    """The alerts of one rule's episodes, by slot.

    Parameters
    ----------
    open
        Those that are open.
    waiting
        Those that are resolved and may come back, with `flap`; one that did not in time stays until the next.
    """

    open: dict[int, OpenAlert] = field(default_factory=dict)
    waiting: dict[int, OpenAlert] = field(default_factory=dict)

    def fire(self, slot: int, alert: OpenAlert) -> OpenAlert:
        """A new alert begins."""
        self.waiting.pop(slot, None)
        self.open[slot] = alert
        return alert

    def go_on(self, slot: int, text: str | None) -> OpenAlert:
        """An open alert is told again, or comes back; with another text, or None for the same."""
        alert = self.open[slot] if slot in self.open else self.waiting.pop(slot)
        self.open[slot] = alert if text is None else alert._replace(text=text)
        return self.open[slot]

    def resolve(self, slot: int, *, may_return: bool) -> OpenAlert:
        """An open alert ends."""
        alert = self.open.pop(slot)
        if may_return:
            self.waiting[slot] = alert
        return alert

    def forget(self, slot: int) -> OpenAlert | None:
        """The instrument gives up its slot: its open alert ends, and none may come back."""
        self.waiting.pop(slot, None)
        return self.open.pop(slot, None)


def episode_body(rule: Rule, began_ns: int, extremes: Extremes) -> dict[str, float | str | None]:
    """The `episode` of an alert's body.

    Parameters
    ----------
    rule
        Whose it is.
    began_ns
        Event time of the row that fired it, ns.
    extremes
        What it has been.
    """
    body: dict[str, float | str | None] = {"began": rfc3339(began_ns)}
    if extremes.measure != UNMEASURED and not math.isnan(extremes.first):
        measure = rule.measures.measures[extremes.measure]
        body |= {
            "measure": measure.name,
            "unit": measure.unit,
            "first": extremes.first,
            "peak": extremes.peak,
            "peak_ts": rfc3339(extremes.peak_ts_ns),
            "last": extremes.last,
        }
        if measure.worse != HIGHEST:
            body["worse"] = "lowest" if measure.worse == LOWEST else "farthest"
    if extremes.reopened:
        body["reopened"] = extremes.reopened
    return body
