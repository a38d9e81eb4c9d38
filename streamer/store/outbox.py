"""The outbox as notify reads it: transitions whose receivers are not chosen yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, literal_column, select, update

from alerts.severity import SEVERITIES
from alerts.stages.view import SUPERSEDED
from streamer.store.chunks import chunks
from streamer.store.database import Database, insert_absent
from streamer.store.delivery_order import BEHIND, READY, advance, hasten, supersede
from streamer.store.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A transition in the outbox that is not routed.

    Parameters
    ----------
    n
        Its place in the outbox.
    alert_id, number
        The episode, and the transition's number in it.
    rule, severity, transition
        As in the body.
    body
        The alert as stored, canonical JSON.
    behind_s
        How far its record was behind the newest one of its log when it was fetched; None where unknown.
    in_doubt
        True where it may have been sent by a store that is lost.
    """

    n: int
    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    body: bytes
    behind_s: float | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery that is to be kept.

    Parameters
    ----------
    row
        The transition.
    receiver
        Who gets it.
    state
        ``pending``, or what the stage that stopped it said.
    held_by
        Why it is held back, None where it is not.
    rank
        How important it is, the least first; see `alerts.stages.importance.importance`.
    behind
        True where an earlier one of its episode is open at the receiver.
    """

    row: Unrouted
    receiver: str
    state: str
    held_by: str | None = None
    rank: int = 0
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A pending delivery in the store that a newer transition of its episode stands for.

    Parameters
    ----------
    n
        Its row.
    alert_id, receiver
        The episode, and where it was to go.
    reason
        What overtook it.
    """

    n: int
    alert_id: str
    receiver: str
    reason: str


@dataclass(frozen=True, slots=True)
class Routing:
    """What is to be kept of some transitions.

    Parameters
    ----------
    new
        The deliveries that there are to be, in their order.
    overtaken
        Those in the store that are superseded.
    hastened
        Row and rank of those in the store that a more important one now waits behind.
    """

    new: Sequence[NewDelivery]
    overtaken: Sequence[Overtaken] = ()
    hastened: Sequence[tuple[int, int]] = ()


class StoreOutbox:
    """Reads the outbox in order, and keeps who gets what.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unrouted(self, limit: int) -> Sequence[Unrouted]:
        """Transitions that are not routed, about `limit`, in the order in which they were written.

        Where there are more, half of them are the newest of the most important: what matters now does not
        wait for a backlog. No transition comes before an earlier one of its episode.
        """
        with self._database.read() as connection:
            query = select(outbox.c.n).where(_is_unrouted).order_by(outbox.c.n).limit(limit)
            oldest = connection.scalars(query).all()
            chosen = set(oldest) if len(oldest) < limit else _important(connection, max(limit // 2, 1))
            chosen.update(oldest[: max(limit - len(chosen), 0)])
            return _read(connection, sorted(chosen))

    def all_routed(self) -> bool:
        """True when every transition is routed."""
        with self._database.read() as connection:
            return not connection.execute(select(exists().where(_is_unrouted))).scalar_one()

    def route(self, rows: Sequence[Unrouted], decide: Callable[[Connection], Routing]) -> Routing:
        """Keep who gets these transitions, all in one transaction.

        Parameters
        ----------
        rows
            From `unrouted`.
        decide
            Says what is to be kept. It is called inside the transaction, so that the facts it reads hold
            until its answer is kept.

        Returns
        -------
        Routing
            What `decide` said.
        """
        # may be lost with the machine, and is then done again: nothing is sent before a claim is on disk
        with self._database.write(synced=False) as connection:
            routing = decide(connection)
            insert_absent(connection, deliveries, [_delivery_row(each) for each in routing.new])
            _overtake(connection, routing.overtaken)
            hasten(connection, routing.hastened)
            for some in chunks([row.n for row in rows]):
                connection.execute(update(outbox).where(outbox.c.n.in_(some)).values(routed=1))
        return routing


_is_unrouted = outbox.c.routed == literal_column("0")  # written out: a partial index is found by the text
_EPISODE_ROWS = 20  # unrouted transitions of an episode that are looked at, on average
_BY_IMPORTANCE = tuple(
    (severity, transition)
    for transitions in (("fired", "updated"), ("resolved",))
    for severity in reversed(SEVERITIES)
    for transition in transitions
)


def _read(connection: Connection, numbers: Sequence[int]) -> list[Unrouted]:
    o = outbox.c
    query = select(o.n, o.alert_id, o.number, o.rule, o.severity, o.transition, o.body, o.behind_s)
    query = query.add_columns(o.doubtful_since.is_not(None))
    return [
        Unrouted(*row)
        for some in chunks(sorted(numbers))
        for row in connection.execute(query.where(o.n.in_(some)).order_by(o.n))
    ]


def _important(connection: Connection, limit: int) -> set[int]:
    """The newest of the most important, and what is not routed of their episodes before them."""
    o = outbox.c
    newest: dict[int, str] = {}
    for severity, transition in _BY_IMPORTANCE:
        of_kind = select(o.n, o.alert_id).where(
            _is_unrouted, o.severity == severity, o.transition == transition
        )
        rows = connection.execute(of_kind.order_by(o.n.desc()).limit(limit - len(newest)))
        newest |= {row.n: row.alert_id for row in rows}
        if len(newest) >= limit:
            break
    chosen: set[int] = set()
    episodes = _unrouted_of(connection, sorted(set(newest.values())), limit * _EPISODE_ROWS)
    for n, alert_id in newest.items():
        before = {earlier for earlier in episodes.get(alert_id, ()) if earlier <= n}
        # an episode with very many takes its turn with the oldest, and does not hold the others up
        if n in before and len(chosen | before) <= 2 * limit:
            chosen |= before
    return chosen


def _unrouted_of(connection: Connection, alert_ids: Sequence[str], limit: int) -> dict[str, list[int]]:
    o = outbox.c
    query = select(o.n, o.alert_id).where(o.routed == 0).order_by(o.n).limit(limit)
    episodes: dict[str, list[int]] = {}
    for some in chunks(alert_ids):
        for row in connection.execute(query.where(o.alert_id.in_(some))):
            episodes.setdefault(row.alert_id, []).append(row.n)
    return episodes


def _delivery_row(new: NewDelivery) -> dict[str, Any]:
    return {
        "outbox_n": new.row.n,
        "alert_id": new.row.alert_id,
        "number": new.row.number,
        "receiver": new.receiver,
        "state": new.state,
        "held_by": new.held_by,
        "rank": new.rank,
        "ready": BEHIND if new.behind else READY,
        "in_doubt": int(new.row.in_doubt),
    }


def _overtake(connection: Connection, overtaken: Sequence[Overtaken]) -> None:
    supersede(connection, [(each.n, each.reason) for each in overtaken], SUPERSEDED)
    episodes: dict[str, set[str]] = {}
    for each in overtaken:
        episodes.setdefault(each.receiver, set()).add(each.alert_id)
    for receiver, alert_ids in episodes.items():
        advance(connection, receiver, sorted(alert_ids))
