"""What an episode's receivers are owed, in its order: what a new transition overtakes, and waits behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerts.severity import severity_rank
from alerts.stages.importance import CRITICAL, LATE, RISE_TO_CRITICAL, counts_as_beginning, importance
from alerts.stages.view import SENT_STATES, SUMMARISED
from streamer.store.delivery_rows import DONE, PENDING
from streamer.store.outbox import Unrouted
from streamer.store.stage_facts import EpisodeDelivery

_OPEN = frozenset(SENT_STATES) - {DONE}
_UPDATED = "updated"


@dataclass(slots=True)
class OpenDelivery:
    """A delivery that is neither done nor held back for good.

    Parameters
    ----------
    n
        Its row in the store, None for one that is being routed.
    place
        Its place among those that are being routed, -1 for one in the store.
    rank
        How important it is, or the more important one of its episode that waits behind it.
    replaceable
        True where a newer transition stands for it: it waits, may not have arrived, and tells of no rise of
        severity. It is an update, or an end that has not been tried.
    pending
        False where it is being tried, or parked.
    """

    n: int | None
    place: int
    rank: int
    replaceable: bool
    pending: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a new transition comes at a receiver.

    Parameters
    ----------
    rank
        How important it is.
    behind
        True where an earlier one is open.
    overtaken
        Updates and ends that it stands for.
    hastened
        Earlier ones that get its rank, since it waits behind them; also those that are being tried or parked,
        for when they come back.
    """

    rank: int
    behind: bool
    overtaken: tuple[OpenDelivery, ...]
    hastened: tuple[OpenDelivery, ...]


class RoutingOrder:
    """The open deliveries of some episodes while transitions of theirs are routed.

    Parameters
    ----------
    before
        The episodes' deliveries in the store, each receiver's in their order.
    late_after_s
        Transitions that were further behind than this are late.
    """

    def __init__(self, before: Iterable[EpisodeDelivery], late_after_s: float) -> None:
        self._late_after_s = late_after_s
        self._open: dict[tuple[str, str], list[OpenDelivery]] = {}
        self._told: dict[tuple[str, str], str] = {}
        heard: set[tuple[str, str]] = set()
        for row in before:
            key = row.alert_id, row.receiver
            rises = self._tell(*key, row.state, row.severity)
            if row.state in SENT_STATES:
                heard.add(key)
            elif row.state == SUMMARISED and row.transition == "resolved" and key not in heard:
                del self._told[key]  # called over: where it comes back, that is its beginning
            if row.state in _OPEN:
                waits = row.state == PENDING and not row.in_doubt and not rises
                replaceable = waits and _may_be_replaced(row.transition, row.attempts)
                queue = self._open.setdefault(key, [])
                queue.append(OpenDelivery(row.n, -1, row.rank, replaceable, row.state == PENDING))

    def add(self, row: Unrouted, receiver: str, place: int) -> Placed:
        """Put a transition behind those of its episode that are open at a receiver."""
        key = row.alert_id, receiver
        late = row.behind_s is not None and row.behind_s > self._late_after_s
        queue = self._open.setdefault(key, [])
        waiting = [each.rank for each in queue if each.pending]
        unsaid = counts_as_beginning(row.transition, row.severity, late, waiting)
        rank = importance(row.transition, row.severity, None if unsaid else self._told.get(key), late)
        rises = self._tell(*key, PENDING, row.severity)
        ends = row.transition != "fired"
        overtaken = tuple(each for each in queue if ends and each.replaceable)
        if row.transition == _UPDATED:
            # as important as what it stands for, where that is the first live news
            rank = min([rank, *(each.rank for each in overtaken if each.rank in CRITICAL)])
        if overtaken:
            queue[:] = [each for each in queue if not each.replaceable]
        hastened = tuple(each for each in queue if _gives_way(each.rank, rank))
        for each in hastened:
            each.rank = rank
        behind = bool(queue)
        replaceable = not rises and not row.in_doubt and _may_be_replaced(row.transition)
        queue.append(OpenDelivery(None, place, rank, replaceable))
        return Placed(rank, behind, overtaken, hastened)

    def _tell(self, alert_id: str, receiver: str, state: str, severity: str) -> bool:
        """Note what a receiver is told; whether that is more severe than all before."""
        if state not in SENT_STATES and state != SUMMARISED:
            return False
        told = self._told.get((alert_id, receiver))
        rises = told is None or severity_rank(severity) > severity_rank(told)
        if rises:
            self._told[alert_id, receiver] = severity
        return rises


def _may_be_replaced(transition: str, attempts: int = 0) -> bool:
    # what comes after an end is a reopening, or the end of one: the receiver still hears how it ended
    return transition == _UPDATED or (transition == "resolved" and attempts == 0)


def _gives_way(rank: int, to: int) -> bool:
    # a late beginning is digested with its like, unless a critical waits for it
    return to < rank and (rank < LATE or to >= LATE or to <= RISE_TO_CRITICAL)
