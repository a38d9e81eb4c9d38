"""The message that replaces the deliveries held by a receiver's cap."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from alerts.alert import Alert, Observation
from alerts.durations import NS_PER_SECOND
from alerts.service_alert import DELIVERY_SUMMARY, HEARTBEAT, service_alert
from alerts.severity import SEVERITIES, severity_rank
from alerts.stages.view import WaitingDelivery

_RULES_NAMED = 20
_INSTRUMENTS_NAMED = 3


def replaceable(waiting: Iterable[WaitingDelivery]) -> list[WaitingDelivery]:
    """The waiting deliveries that a summary may replace.

    Left out are deliveries that may have arrived, parked ones, those that wait behind either, the end of an
    episode that the receiver knows of, heartbeats and other summaries.

    Parameters
    ----------
    waiting
        Oldest first.
    """
    members: list[WaitingDelivery] = []
    blocked: set[str] = set()
    for each in waiting:
        if each.rule in (DELIVERY_SUMMARY, HEARTBEAT):
            continue
        owed = each.heard and each.transition == "resolved"
        if each.parked or each.in_doubt or owed or each.alert_id in blocked:
            blocked.add(each.alert_id)
        else:
            members.append(each)
    return members


def summary(receiver: str, cap: int, members: Sequence[WaitingDelivery], now: float) -> Alert:
    """The alert that counts them by rule, and names the instruments with the most.

    Parameters
    ----------
    receiver, cap
        Who gets it, and the receiver's messages a minute.
    members
        The deliveries that it replaces, at least one, oldest first.
    now
        Wall-clock seconds.
    """
    by_rule: dict[str, list[WaitingDelivery]] = defaultdict(list)
    for each in members:
        by_rule[each.rule].append(each)
    ranked = sorted(by_rule.items(), key=lambda entry: (-_worst(entry[1]), -len(entry[1]), entry[0]))
    named = [f"{rule} {len(of):,} ({_instruments(of)})" for rule, of in ranked[:_RULES_NAMED]]
    if len(ranked) > _RULES_NAMED:
        more = sum(len(of) for _, of in ranked[_RULES_NAMED:])
        named.append(f"{more:,} of {len(ranked) - _RULES_NAMED} more rules")
    first, last = members[0], members[-1]
    return service_alert(
        DELIVERY_SUMMARY,
        (receiver, first.key, last.key, len(members)),
        SEVERITIES[min(_worst(members), len(SEVERITIES) - 1)],
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"receiver": receiver, "count": len(members), "first": first.key, "last": last.key},
            values={rule: len(of) for rule, of in by_rule.items()},
            text=f"{len(members):,} more than {receiver} takes at {cap} messages a minute: "
            f"{', '.join(named)}; `tapewatch alerts` has them all",
        ),
    )


def _worst(members: Iterable[WaitingDelivery]) -> int:
    return max(severity_rank(each.severity) for each in members)


def _instruments(members: Iterable[WaitingDelivery]) -> str:
    counts = Counter(
        " ".join(part for part in (each.venue, each.symbol) if part) or "tapewatch" for each in members
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{name} {count:,}" for name, count in ranked[:_INSTRUMENTS_NAMED]]
    if len(ranked) > _INSTRUMENTS_NAMED:
        named.append(f"{len(ranked) - _INSTRUMENTS_NAMED} more")
    return ", ".join(named)
