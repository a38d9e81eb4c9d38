"""Messages that stand for several deliveries: each critical is named, the others are counted."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.alert import Alert, Observation
from alerts.durations import NS_PER_SECOND, lasting
from alerts.plain_text import lines_of, one_line, shows
from alerts.rounding import rounded
from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY, HEARTBEAT, service_alert
from alerts.severity import SEVERITIES, Severity, severity_rank
from alerts.short_id import short_id
from alerts.stages.importance import is_new_critical
from alerts.stages.view import WaitingDelivery
from alerts.subjects import subject_of, without_subject

_RULES_NAMED = 20
_INSTRUMENTS_NAMED = 3
_VALUES_NAMED = 2
_ROOM = 10_500  # characters of a text, as Slack counts them: it shows 12,000 in four sections, cut at lines
_NAME_LENGTH = 80  # characters of a rule's or an instrument's name in a list
_SAID_LENGTH = 160  # characters of what a critical says in a list
_ESCAPED = {"&": 5, "<": 4, ">": 4}  # characters that Slack counts for one
_NEVER_JOINED = (DELIVERY_SUMMARY, DELIVERY_DIGEST, HEARTBEAT)


@dataclass(frozen=True, slots=True)
class SummaryPart:
    """One message of a summary.

    Parameters
    ----------
    alert
        What is sent.
    members
        The deliveries that it stands for, oldest first.
    """

    alert: Alert
    members: Sequence[WaitingDelivery]


@dataclass(frozen=True, slots=True)
class SummaryHeading:
    """What a summary says before its list.

    Parameters
    ----------
    rule
        `DELIVERY_SUMMARY` or `DELIVERY_DIGEST`.
    receiver
        Who gets it.
    line
        Its first line, without the colon, for so many deliveries as it is given.
    late
        Whether each critical is followed by when it happened, and how late it is.
    names_all
        For a list of what is over: every episode is named, and none is called over.
    severity
        Its severity; None for the highest of what it stands for.
    counts_named
        Whether `line` is given the number of episodes that are named, instead of that of deliveries.
    """

    rule: str
    receiver: str
    line: Callable[[int], str]
    late: bool = False
    names_all: bool = False
    severity: Severity | None = None
    counts_named: bool = False


def replaceable(
    waiting: Sequence[WaitingDelivery], stays: Callable[[WaitingDelivery], bool] = lambda _: False
) -> list[WaitingDelivery]:
    """The waiting deliveries that a summary may replace.

    Left out are deliveries that may have arrived, parked ones, the end of an episode that the receiver knows
    of unless it has come back since, heartbeats and other summaries, what `stays`, and what waits behind any
    of those.

    Parameters
    ----------
    waiting
        Oldest first.
    stays
        Which others are left out.
    """
    members: list[WaitingDelivery] = []
    blocked: set[str] = set()
    newest = {each.alert_id: each.number for each in waiting}
    for each in waiting:
        if each.rule in _NEVER_JOINED:
            continue
        owed = each.heard and each.transition == "resolved" and each.number == newest[each.alert_id]
        if each.parked or each.in_doubt or owed or each.alert_id in blocked or stays(each):
            blocked.add(each.alert_id)
        else:
            members.append(each)
    return members


def is_critical(each: WaitingDelivery) -> bool:
    """Whether a summary has to name it."""
    return severity_rank(each.severity) >= severity_rank("critical")


def summaries(heading: SummaryHeading, members: Sequence[WaitingDelivery], now: float) -> list[SummaryPart]:
    """The messages that name each critical, worst first, and count all others by rule.

    Parameters
    ----------
    heading
        What comes first.
    members
        The deliveries that they replace, at least one, oldest first; criticals with their bodies.
    now
        Wall-clock seconds.
    """
    episodes: dict[str, list[WaitingDelivery]] = defaultdict(list)
    for each in members:
        episodes[each.alert_id].append(each)
    critical = {key: of for key, of in episodes.items() if heading.names_all or any(map(is_critical, of))}
    others = [each for each in members if each.alert_id not in critical]
    listed = _worst_first([_Critical.of(of) for of in critical.values()])
    pieces = list(_pieces(listed, heading, others))
    return [
        _part(heading, piece, f" ({place} of {len(pieces)})" if len(pieces) > 1 else "", now)
        for place, piece in enumerate(pieces, 1)
    ]


@dataclass(frozen=True, slots=True)
class _Critical:
    """An episode that a summary names: its deliveries, and what the newest critical one says."""

    members: Sequence[WaitingDelivery]
    shown: WaitingDelivery
    body: Mapping[str, Any]

    @classmethod
    def of(cls, members: Sequence[WaitingDelivery]) -> _Critical:
        shown = max(
            members,
            key=lambda each: (severity_rank(each.severity), each.transition != "resolved", each.number),
        )
        return cls(members, shown, {} if shown.body is None else json.loads(shown.body))

    @property
    def episode(self) -> Mapping[str, Any]:
        found = self.body.get("episode")
        return found if isinstance(found, Mapping) else {}

    @property
    def is_new(self) -> bool:
        """Whether the receiver has not been told before that it is critical."""
        return any(is_new_critical(each.rank) for each in self.members)

    @property
    def size(self) -> float:
        """How bad it is, among others of its rule and measure."""
        if self.measure:
            peak = self.episode.get("peak")
            if not isinstance(peak, int | float):
                return -math.inf
            worse = self.episode.get("worse")
            return -peak if worse == "lowest" else abs(peak) if worse == "farthest" else peak
        for value in (self.body.get("score"), *_numbers(self.body)):
            if isinstance(value, int | float):
                return abs(value)
        return 0.0

    @property
    def measure(self) -> str:
        return str(self.episode.get("measure") or "")

    def line(self, heading: SummaryHeading) -> str:
        shown = self.shown
        subject = subject_of(shown.venue, shown.symbol)
        name = " ".join(_short(part, _NAME_LENGTH) for part in (shown.rule, subject) if part)
        state = ""
        if not heading.names_all and self.members[-1].transition == "resolved":
            state = " (over)"
        elif not heading.names_all and not self.is_new:
            state = " (still open)"
        said = self._said()
        about = f"{name}: {said}" if said else name
        when = self._when() if heading.late else ""
        return f"• {about}{state}{when} · {short_id(shown.alert_id)}"

    def _said(self) -> str:
        values = self.body.get("values")
        values = values if isinstance(values, Mapping) else {}
        parts = (self.shown.venue, self.shown.symbol, *values.values())
        first, *others = lines_of(str(self.body.get("text") or ""), parts)
        whole = without_subject(first, one_line(self.shown.symbol or ""), is_named="symbol" in values)
        text = _short(whole, _SAID_LENGTH)
        measure, peak = self.episode.get("measure"), self.episode.get("peak")
        if measure:
            unit = str(self.episode.get("unit") or "")
            is_said = isinstance(peak, int | float) and shows(text, peak, unit, str(measure))
            value = rounded(peak, unit, str(measure))
            shown = [] if is_said else [f"{_short(str(measure), _NAME_LENGTH)} {value}"]
        elif others or text != whole or not text:  # what is cut off may have had its number
            shown = [
                f"{_short(name, _NAME_LENGTH)} {rounded(value, name=name)}"
                for name, value in values.items()
                if isinstance(value, int | float) and not shows(text, value, name=name)
            ][:_VALUES_NAMED]
        else:
            shown = []
        if text:
            return f"{text} [{', '.join(shown)}]" if shown else text
        return ", ".join(shown) or ("critical" if self.body else "")

    def _when(self) -> str:
        at = str(self.body.get("ts_event") or "").partition(".")[0].removesuffix("Z").replace("T", " ")
        behind = self.members[0].behind_s
        late = "" if behind is None else f", {lasting(behind)} late"
        return f" · {at} UTC{late}" if at else late


def _numbers(body: Mapping[str, Any]) -> Iterator[object]:
    values = body.get("values")
    yield from values.values() if isinstance(values, Mapping) else ()


def _worst_first(criticals: Sequence[_Critical]) -> list[_Critical]:
    """The most severe, news first, then the rule that says least often so: amid a flood of one, the other.

    Only values of the same measure are compared.
    """
    of_rule = Counter(each.shown.rule for each in criticals)
    return sorted(
        criticals,
        key=lambda each: (
            -severity_rank(each.shown.severity),
            not each.is_new,
            of_rule[each.shown.rule],
            each.shown.rule,
            each.measure,
            -each.size,
            each.shown.n,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one message holds: lines of criticals, the line that counts the others, and all deliveries.

    It names so many episodes, of which `new_criticals` are news to the receiver.
    """

    lines: Sequence[str]
    members: Sequence[WaitingDelivery]
    named: int
    new_criticals: int


def _pieces(
    listed: Sequence[_Critical], heading: SummaryHeading, others: Sequence[WaitingDelivery]
) -> Iterator[_Piece]:
    last = [counted] if (counted := _counts(others)) else []
    lines: list[str] = []
    members, named, new = list(others), 0, 0
    room = _ROOM - _slack_length("".join(last))
    for each in listed:
        line = each.line(heading)
        if lines and _slack_length(line) + 1 > room:
            yield _Piece([*lines, *last], members, named, new)
            lines, last, members, named, new, room = [], [], [], 0, 0, _ROOM
        lines.append(line)
        members += each.members
        named += 1
        new += each.is_new and not heading.names_all
        room -= _slack_length(line) + 1
    yield _Piece([*lines, *last], members, named, new)


def _part(heading: SummaryHeading, piece: _Piece, which: str, now: float) -> SummaryPart:
    members = sorted(piece.members, key=lambda each: each.n)
    first, last = members[0], members[-1]
    count = piece.named if heading.counts_named else len(members)
    text = "\n".join([f"{heading.line(count)}{which}:", *piece.lines])
    worst = SEVERITIES[min(max(severity_rank(each.severity) for each in members), len(SEVERITIES) - 1)]
    alert = service_alert(
        heading.rule,
        (heading.receiver, first.key, last.key, len(members)),
        heading.severity or worst,
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={
                "receiver": heading.receiver,
                "count": len(members),
                "new_criticals": piece.new_criticals,
                "first": first.key,
                "last": last.key,
            },
            values=dict(Counter(each.rule for each in members)),
            text=text,
        ),
    )
    return SummaryPart(alert, members)


def _counts(members: Sequence[WaitingDelivery]) -> str:
    """How many of each rule, with the instruments that have the most."""
    by_rule: dict[str, list[WaitingDelivery]] = defaultdict(list)
    for each in members:
        by_rule[each.rule].append(each)
    ranked = sorted(by_rule.items(), key=lambda entry: (-_worst(entry[1]), -len(entry[1]), entry[0]))
    named = [
        f"{_short(rule, _NAME_LENGTH)} {len(of):,} ({_instruments(of)})" for rule, of in ranked[:_RULES_NAMED]
    ]
    if len(ranked) > _RULES_NAMED:
        more = sum(len(of) for _, of in ranked[_RULES_NAMED:])
        named.append(f"{more:,} of {len(ranked) - _RULES_NAMED} more rules")
    return f"{', '.join(named)}; `tapewatch alerts` has them all" if named else ""


def _worst(members: Iterable[WaitingDelivery]) -> int:
    return max(severity_rank(each.severity) for each in members)


def _instruments(members: Iterable[WaitingDelivery]) -> str:
    counts = Counter(subject_of(each.venue, each.symbol, "tapewatch") for each in members)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{_short(name, _NAME_LENGTH)} {count:,}" for name, count in ranked[:_INSTRUMENTS_NAMED]]
    if len(ranked) > _INSTRUMENTS_NAMED:
        named.append(f"{len(ranked) - _INSTRUMENTS_NAMED} more")
    return ", ".join(named)


def _short(text: str, length: int) -> str:
    plain = one_line(text)
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"


def _slack_length(text: str) -> int:
    return len(text) + sum((each - 1) * text.count(character) for character, each in _ESCAPED.items())
