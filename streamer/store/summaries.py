"""What a receiver's cap keeps waiting, and the one message that stands for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, select

from alerts.alert import Alert, Observation
from alerts.severity import SEVERITIES, severity_rank
from streamer.messages.time_units import NS_PER_SECOND
from streamer.store.service_alerts import DELIVERY_SUMMARY, HEARTBEAT, service_alert
from streamer.store.tables import deliveries, outbox

AT_ONCE = 50_000
"""How many one summary stands for at most; what is beyond waits for the next."""

_RULES_NAMED = 20
_INSTRUMENTS_NAMED = 3
_SETTLED = ("done", "muted", "summarised")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that has not gone out.

    Parameters
    ----------
    n
        Its row.
    key
        Its idempotency key.
    rule, severity, venue, symbol
        As in the alert.
    """

    n: int
    key: str
    rule: str
    severity: str
    venue: str | None
    symbol: str | None


def replaceable(connection: Connection, receiver: str) -> list[Waiting]:
    """What a summary may stand for at a receiver, oldest first.

    Not what may have arrived, nor what waits behind it or behind a parked one; not the end of an episode
    that the receiver has heard of, which it is owed; no heartbeat, and no other summary.
    """
    d, o = deliveries.c, outbox.c
    earlier = deliveries.alias()
    heard = exists().where(
        earlier.c.alert_id == d.alert_id,
        earlier.c.receiver == d.receiver,
        earlier.c.number < d.number,
        earlier.c.state == "done",
    )
    query = (
        select(
            *(d.n, d.alert_id, d.number, d.state, d.in_doubt),
            *(o.rule, o.severity, o.venue, o.symbol, o.transition),
            heard.label("heard"),
        )
        .join(outbox, o.n == d.outbox_n)
        .where(d.receiver == receiver, d.state.in_(("pending", "trying", "parked")))
        .where(o.rule.not_in((DELIVERY_SUMMARY, HEARTBEAT)))
        .order_by(d.n)
        .limit(AT_ONCE)
    )
    found: list[Waiting] = []
    holding: set[str] = set()
    for row in connection.execute(query):
        owed = row.heard and row.transition == "resolved"
        if row.state != "pending" or row.in_doubt or owed or row.alert_id in holding:
            holding.add(row.alert_id)
            continue
        key = f"{row.alert_id}-{row.number}"
        found.append(Waiting(row.n, key, row.rule, row.severity, row.venue, row.symbol))
    return found


def summary(receiver: str, cap: int, waiting: Sequence[Waiting], now: float) -> Alert:
    """The message that stands for them: how many of each rule, and for which instruments.

    Parameters
    ----------
    receiver, cap
        Who gets it, and how many messages a minute that one takes.
    waiting
        What it stands for, at least one.
    now
        Wall-clock seconds.
    """
    by_rule: dict[str, list[Waiting]] = defaultdict(list)
    for each in waiting:
        by_rule[each.rule].append(each)
    ranked = sorted(by_rule.items(), key=lambda entry: (-_worst(entry[1]), -len(entry[1]), entry[0]))
    named = [f"{rule} {len(of):,} ({_instruments(of)})" for rule, of in ranked[:_RULES_NAMED]]
    if len(ranked) > _RULES_NAMED:
        more = sum(len(of) for _, of in ranked[_RULES_NAMED:])
        named.append(f"{more:,} of {len(ranked) - _RULES_NAMED} more rules")
    first, last = waiting[0], waiting[-1]
    return service_alert(
        DELIVERY_SUMMARY,
        (receiver, first.key, last.key, len(waiting)),
        SEVERITIES[min(_worst(waiting), len(SEVERITIES) - 1)],
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"receiver": receiver, "count": len(waiting), "first": first.key, "last": last.key},
            values={rule: len(of) for rule, of in by_rule.items()},
            text=f"{len(waiting):,} more than {receiver} takes at {cap} messages a minute: "
            f"{', '.join(named)}; `tapewatch alerts` has them all",
        ),
    )


def _worst(waiting: Iterable[Waiting]) -> int:
    return max(severity_rank(each.severity) for each in waiting)


def _instruments(waiting: Iterable[Waiting]) -> str:
    counts = Counter(
        " ".join(part for part in (each.venue, each.symbol) if part) or "tapewatch" for each in waiting
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{name} {count:,}" for name, count in ranked[:_INSTRUMENTS_NAMED]]
    if len(ranked) > _INSTRUMENTS_NAMED:
        named.append(f"{len(ranked) - _INSTRUMENTS_NAMED} more")
    return ", ".join(named)
