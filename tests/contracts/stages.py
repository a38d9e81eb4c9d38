"""Cases for every registered stage, and the contract that each of them is held to.

A stage without cases is refused, so that a new one cannot be registered without being tested.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY, HEARTBEAT, SERVICE_RULES
from alerts.stages.importance import CRITICALS_SUMMARY, ENDED_LIST, HEARTBEATS, LATE_DIGEST, SERVICE_NEWS
from alerts.stages.matchers import Silence, rule_matchers
from alerts.stages.registry import RegisteredStage, StageSettings
from alerts.stages.route import Router, RouteSettings
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Stop, Verdict
from alerts.stages.view import SENT_STATES, EpisodeAtReceiver, Sent, WaitingDelivery

NOW = 1_767_623_400.0
WINDOW_S = 60.0
SETTINGS = StageSettings(
    Router(RouteSettings.model_validate({"to": ["desk"]}), ("desk", "ops")),
    {"desk": 3, "hook": 3, "ops": None},
    WINDOW_S,
    {"desk": 2},
)
FIRED = AlertTransition(
    "a",
    0,
    "fat_finger",
    "warning",
    "fired",
    {"rule": "fat_finger", "severity": "warning", "symbol": "ACME"},
    rank=3,
)
UPDATED = replace(FIRED, number=1, transition="updated", rank=10)
RESOLVED = replace(FIRED, number=1, transition="resolved", rank=7)
WORSE = replace(FIRED, number=1, transition="updated", severity="critical", rank=1)
CRITICAL = replace(FIRED, severity="critical", rank=0)
LATE = replace(FIRED, rank=103, behind_s=7_200.0)
HEARTBEAT_FIRED = replace(FIRED, rule=HEARTBEAT, severity="info", rank=HEARTBEATS)


@dataclass(frozen=True)
class Facts:
    """A view that answers from what it is given; times are seconds before now.

    What was sent is of rank 3, unless `ranks` says otherwise.
    """

    now: float = NOW
    episodes: Mapping[tuple[str, str], EpisodeAtReceiver] = field(default_factory=dict)
    muted: tuple[str, ...] = ()
    sent: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    joined: Mapping[int, float] = field(default_factory=dict)
    holding: tuple[int, ...] = ()
    wait: tuple[WaitingDelivery, ...] = ()

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        return self.episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        return [Silence(rule_matchers(rule), "ann", "", now - 60, now + 600) for rule in self.muted]

    def sent_since(self, receiver: str, since: float, ranks: Collection[int]) -> Sequence[Sent]:
        of = self.ranks or (3,) * len(self.sent)
        sent = [Sent(self.now - age, rank) for age, rank in zip(self.sent, of, strict=True)]
        return [each for each in sent if each.at > since and each.rank in ranks]

    def joined_at(self, receiver: str, rank: int) -> float | None:
        return self.now - self.joined[rank] if rank in self.joined else None

    def held(self, receiver: str, stage: str) -> Collection[int]:
        return self.holding

    def waiting(
        self,
        receiver: str,
        limit: int,
        *,
        ranks: Collection[int] | None = None,
        episodes: Collection[str] | None = None,
        bodies: bool = False,
        newest: bool = False,
    ) -> Sequence[WaitingDelivery]:
        found = [replace(each, since=self.now - each.since) for each in self.wait]
        if ranks is not None:
            found = [each for each in found if each.rank in ranks and not each.parked]
        if episodes is not None:
            found = [each for each in found if each.alert_id in episodes]
        return found[-limit:] if newest else found[:limit]


@dataclass(frozen=True)
class Case:
    """A question to a stage, and the kind of its answer."""

    expected: type[Pass | HoldUntil | Stop]
    facts: Facts = Facts()
    transition: AlertTransition = FIRED
    receiver: str = "desk"
    joins: int = 0


def _waiting(count: int, rank: int = 3, **more: Any) -> tuple[WaitingDelivery, ...]:
    severity = "critical" if rank in (0, 1, 100) else "warning"
    one = WaitingDelivery(0, "", 0, "fat_finger", severity, "fired", rank=rank, **more)
    return tuple(replace(one, n=n, alert_id=f"w{n}", symbol=f"S{n}") for n in range(count))


def _ends(count: int, **more: Any) -> tuple[WaitingDelivery, ...]:
    one = {"number": 1, "transition": "resolved", "heard": True, "since": 99.0}
    return tuple(replace(each, **{**one, **more}) for each in _waiting(count, 7))


def _not_joined(first: int, rank: int = 3) -> tuple[WaitingDelivery, ...]:
    """What waits and is never joined, and what waits behind it."""
    (fresh,) = _waiting(1, rank)
    behind = rank // 100 * 100 + 10
    each = [
        replace(fresh, alert_id="parked", parked=True),
        replace(fresh, alert_id="parked", number=1, transition="updated", rank=behind),
        replace(fresh, alert_id="doubt", in_doubt=True),
        replace(fresh, alert_id="doubt", number=1, transition="updated", rank=behind),
        replace(fresh, alert_id="heard", number=1, transition="resolved", heard=True, rank=behind - 3),
        replace(fresh, alert_id="heartbeat", rule=HEARTBEAT, rank=HEARTBEATS),
        replace(fresh, alert_id="summary", rule=DELIVERY_SUMMARY, rank=CRITICALS_SUMMARY),
        replace(fresh, alert_id="digest", rule=DELIVERY_DIGEST, rank=LATE_DIGEST),
    ]
    return tuple(replace(one, n=n) for n, one in enumerate(each, first))


HEARD = {("a", "desk"): EpisodeAtReceiver(heard=True), ("a", "ops"): EpisodeAtReceiver(heard=True)}
MUTED = {("a", "desk"): EpisodeAtReceiver().after("muted", "muted until noon", "warning")}
SUMMARISED = {("a", "desk"): EpisodeAtReceiver().after("summarised", "s-0", "warning")}
DIGESTED = {("a", "desk"): EpisodeAtReceiver().after("digested", "d-0", "warning")}
DIGESTED_CRITICAL = {("a", "desk"): EpisodeAtReceiver().after("digested", "d-0", "critical")}
CALLED_OVER = {
    severity: {
        ("a", "desk"): EpisodeAtReceiver()
        .after("summarised", "s-0", severity)
        .after("summarised", "s-0", severity, "resolved")
    }
    for severity in ("warning", "critical")
}
OVER = EpisodeAtReceiver().after("done", None, "warning").after("done", None, "warning", "resolved")
MUTED_AGAIN = {("a", "desk"): OVER.after("muted", "muted until noon", "warning", "updated")}
REOPENED = {("a", "desk"): OVER.after("done", None, "warning", "updated")}
FULL = (50.0, 40.0, 0.0)
EDITS_FULL = Facts(sent=(50.0, 0.0), ranks=(10, 7))
THIRTY = Facts(sent=(30.0,) * 30, ranks=(0,) * 30)
TEN_RISES = Facts(sent=(30.0,) * 10, ranks=(1,) * 10)
OLD = Facts(wait=_waiting(4, 0, since=6.0))
CASES: Mapping[str, Sequence[Case]] = {
    "route": (
        Case(Pass),
        Case(Stop, receiver="ops"),
        Case(Pass, Facts(episodes=HEARD), RESOLVED, "ops"),
    ),
    "silence": (
        Case(Pass),
        Case(Pass, Facts(muted=("huge",))),
        Case(Stop, Facts(muted=("fat_finger",))),
        Case(Pass, Facts(muted=("fat_finger",), episodes=HEARD), RESOLVED),
        Case(Stop, Facts(muted=("fat_finger",), episodes=HEARD), WORSE),
        Case(Stop, Facts(episodes=MUTED), RESOLVED),
        Case(Pass, Facts(episodes=MUTED), replace(FIRED, number=1)),
        Case(Stop, Facts(episodes=SUMMARISED), replace(FIRED, number=1)),
        Case(Pass, Facts(episodes=SUMMARISED), WORSE),
        Case(Stop, Facts(episodes=SUMMARISED), RESOLVED),
        Case(Stop, Facts(episodes=DIGESTED), replace(UPDATED, behind_s=301.0)),
        Case(Pass, Facts(episodes=DIGESTED), UPDATED),
        Case(Stop, Facts(episodes=DIGESTED), RESOLVED),
        Case(Stop, Facts(episodes=DIGESTED_CRITICAL), replace(RESOLVED, severity="critical", behind_s=301.0)),
        Case(Pass, Facts(episodes=DIGESTED_CRITICAL), replace(RESOLVED, severity="critical", behind_s=1.0)),
        # called over in a summary or digest, a critical that comes back is told again
        Case(Stop, Facts(episodes=CALLED_OVER["warning"]), replace(UPDATED, number=2)),
        Case(Pass, Facts(episodes=CALLED_OVER["critical"]), replace(WORSE, number=2)),
        Case(Stop, Facts(episodes=CALLED_OVER["critical"]), replace(RESOLVED, number=2)),
        Case(Stop, Facts(episodes=CALLED_OVER["critical"], muted=("fat_finger",)), replace(WORSE, number=2)),
        Case(Stop, Facts(episodes=MUTED_AGAIN), RESOLVED),
        Case(Pass, Facts(episodes=MUTED_AGAIN), UPDATED),
        Case(Pass, Facts(episodes=REOPENED, muted=("fat_finger",)), RESOLVED),
    ),
    "digest": (
        Case(Pass),
        Case(Pass, transition=CRITICAL),
        Case(Pass, transition=LATE),
        Case(Pass, transition=LATE, receiver="ops"),
        Case(HoldUntil, Facts(joined={LATE_DIGEST: 59.0}), LATE),
        Case(HoldUntil, Facts(sent=(59.0,), ranks=(100,)), LATE),
        Case(Pass, Facts(joined={LATE_DIGEST: 59.0}), replace(RESOLVED, rank=107)),
        Case(Pass, Facts(joined={LATE_DIGEST: 59.0}), replace(UPDATED, rank=110)),
        Case(HoldUntil, Facts(joined={LATE_DIGEST: 59.0}), replace(UPDATED, rank=110), "hook"),
        Case(Pass, Facts(wait=_waiting(9, 103, since=5.0)), joins=9),
        Case(HoldUntil, Facts(wait=_waiting(9, 103, since=4.0)), LATE),
        Case(Pass, Facts(wait=_waiting(1, 103, since=5.0)), LATE),
        Case(Pass, Facts(wait=_waiting(9, 103, since=9.0)), receiver="ops"),
        Case(Pass, Facts(wait=_waiting(9, 3, since=9.0))),
        Case(Pass, Facts(wait=(*_waiting(3, 103, since=9.0), *_not_joined(3, 103))), joins=3),
    ),
    "cap": (
        Case(Pass),
        Case(Pass, Facts(sent=(1.0, 0.5))),
        Case(HoldUntil, Facts(sent=FULL)),
        Case(Pass, Facts(sent=(60.0, 40.0, 0.0))),
        Case(Pass, Facts(sent=FULL), receiver="ops"),
        Case(HoldUntil, Facts(sent=FULL, holding=(3,), wait=_waiting(9))),
        Case(Pass, Facts(sent=FULL[1:], holding=(3,), wait=_waiting(9)), joins=9),
        Case(Pass, Facts(sent=FULL[1:], holding=(3,), wait=_waiting(1))),
        Case(Pass, Facts(sent=FULL[1:], holding=(3,), wait=(*_waiting(3), *_not_joined(3))), joins=3),
        Case(Pass, Facts(sent=FULL[1:], holding=(3,), wait=(*_waiting(1), *_not_joined(1)))),
        Case(Pass, Facts(sent=FULL[1:], wait=_waiting(9))),
        Case(Pass, Facts(joined={SERVICE_NEWS: 59.0}, holding=(3,), wait=_waiting(9))),
        Case(Pass, Facts(joined={SERVICE_NEWS: 61.0}, holding=(3,), wait=_waiting(9)), joins=9),
        Case(Pass, Facts(holding=(3,), wait=_waiting(9, 103))),
        # heartbeats are never held, and take nobody's place
        Case(Pass, Facts(sent=FULL), HEARTBEAT_FIRED),
        Case(Pass, Facts(sent=FULL, ranks=(HEARTBEATS,) * 3)),
        # edits have a budget of their own; without edits an update is a message
        Case(Pass, Facts(sent=FULL), UPDATED),
        Case(HoldUntil, Facts(sent=FULL), UPDATED, "hook"),
        Case(HoldUntil, EDITS_FULL, UPDATED),
        Case(Pass, EDITS_FULL, FIRED),
        Case(Pass, EDITS_FULL, UPDATED, "hook"),
        Case(HoldUntil, Facts(sent=FULL, ranks=(7, 10, 12)), receiver="hook"),
        # ends that have waited a minute get the next place; one message, below, if there are several
        Case(HoldUntil, Facts(sent=FULL[1:], wait=_ends(1)), receiver="hook"),
        Case(Pass, Facts(sent=FULL[1:], wait=_ends(1)), replace(RESOLVED, rank=107), "hook"),
        Case(Pass, Facts(sent=FULL[1:], wait=_ends(1, since=59.0)), receiver="hook"),
        Case(Pass, Facts(sent=FULL[1:], wait=_ends(1, due=False)), receiver="hook"),
        Case(Pass, Facts(sent=FULL[1:], ranks=(7, 3), wait=_ends(1)), receiver="hook"),
        Case(Pass, Facts(sent=FULL[1:], wait=_ends(1))),
        Case(HoldUntil, Facts(sent=FULL[1:], wait=_ends(2), joined={ENDED_LIST: 61.0}), receiver="hook"),
        Case(Pass, Facts(sent=FULL[1:], wait=_ends(2)), joins=0),
        # criticals do not count
        Case(Pass, Facts(sent=FULL), CRITICAL),
        Case(Pass, Facts(sent=FULL), WORSE),
        Case(Pass, Facts(sent=FULL, wait=_waiting(30, 0)), CRITICAL),
        Case(Pass, replace(THIRTY, wait=_waiting(1, 0)), replace(CRITICAL, alert_id="w0")),
        Case(Pass, replace(THIRTY, wait=_waiting(9, 0)), joins=3),
        Case(HoldUntil, replace(THIRTY, wait=_waiting(9, 0)), replace(CRITICAL, alert_id="w8"), joins=3),
        Case(Pass, replace(THIRTY, wait=_waiting(9, 0), joined={CRITICALS_SUMMARY: 2.0})),
        Case(Pass, replace(THIRTY, wait=_waiting(9, 0), joined={CRITICALS_SUMMARY: 3.0}), joins=3),
        Case(Pass, replace(TEN_RISES, wait=_waiting(9, 1)), joins=9),
        Case(Pass, replace(TEN_RISES, wait=_waiting(20, 0)), replace(CRITICAL, alert_id="w8")),
        Case(Pass, OLD, joins=4),
        Case(Pass, replace(OLD, wait=OLD.wait[:1])),
        Case(Pass, OLD, receiver="ops"),
        Case(Pass, replace(OLD, wait=(*OLD.wait, *_not_joined(4, 0))), joins=4),
        Case(HoldUntil, Facts(sent=FULL[1:], wait=_ends(2)), receiver="hook", joins=2),
    ),
}


def cases(stage: str) -> Sequence[Case]:
    """The cases of a stage.

    Raises
    ------
    LookupError
        When there are none.
    """
    if stage not in CASES:
        raise LookupError(f"stage {stage!r} has no cases in tests/contracts/stages.py")
    return CASES[stage]


def check(registered: RegisteredStage) -> None:
    """Hold a registered stage to the contract.

    Raises
    ------
    AssertionError
        When it breaks it; the message says how.
    LookupError
        When it has no cases.
    """
    known = cases(registered.name)
    stage = registered.build(SETTINGS)
    assert isinstance(stage, Stage), "it is no Stage"
    assert stage.name == registered.name, "it has another name than its registration"
    assert stage.phase in ("routing", "claim"), "it runs at no known time"
    answers = [_answer(stage, case) for case in known]
    for case, (verdict, joined) in zip(known, answers, strict=True):
        _check_verdict(stage, case, verdict)
        _check_joined(case, joined)
    backwards = [_answer(stage, case) for case in reversed(known)]
    assert backwards[::-1] == answers, "it gives another answer to the same question"
    prepared = stage.prepare([case.transition for case in known])
    assert [_answer(prepared, case) for case in known] == answers, "it answers otherwise once prepared"
    restarted = registered.build(SETTINGS)
    assert [_answer(restarted, case) for case in reversed(known)][::-1] == answers, (
        "a restart changes answers"
    )
    later = [_answer(stage, _later(case)) for case in known]
    for before, after in zip(answers, later, strict=True):
        assert _relative(*before, NOW) == _relative(*after, NOW + 1e6), "it goes by another clock than `now`"


def _answer(stage: Stage, case: Case) -> tuple[Verdict, Sequence[Joined]]:
    now, facts = case.facts.now, case.facts
    with ExitStack() as forbidden:
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
            forbidden.enter_context(patch.object(time, name, _looked_at_a_clock))
        return stage.judge(case.transition, case.receiver, now, facts), stage.join(case.receiver, now, facts)


def _looked_at_a_clock() -> float:
    raise AssertionError("it looks at a clock")


def _check_verdict(stage: Stage, case: Case, verdict: Any) -> None:
    assert isinstance(verdict, Pass | HoldUntil | Stop), f"it says {verdict!r}"
    assert isinstance(verdict.reason, str), "its reason is no text"
    assert verdict.reason.strip(), "it gives no reason"
    if isinstance(verdict, HoldUntil):
        assert stage.phase == "claim", "it holds at routing, where it is asked once"
        assert verdict.until > case.facts.now, "it holds until a time that has passed"
    if isinstance(verdict, Stop):
        word = verdict.state is not None and verdict.state.isidentifier()
        assert word or (verdict.state is None and stage.phase == "routing"), f"it stops as {verdict.state!r}"
        assert verdict.state not in SENT_STATES, f"it stops as {verdict.state!r}"
    assert type(verdict) is case.expected, f"it says {verdict} of {case}"


def _check_joined(case: Case, joined: Sequence[Joined]) -> None:
    members = [member for each in joined for member in each.members]
    assert len(members) == case.joins, f"it joins {joined} of {case}"
    for each in joined:
        assert each.alert.rule in SERVICE_RULES, "what it joins them into is no alert of the service"
        assert (each.alert.text or "").strip(), "what it joins them into says nothing"
        assert each.state.isidentifier(), f"it keeps what it joins as {each.state!r}"
        assert each.state not in SENT_STATES, f"it keeps what it joins as {each.state!r}"
        assert each.reason.strip(), "it gives no reason for what it joins"
        assert len({one.n for one in each.members}) == len(each.members), "it joins one twice"
        in_order = sorted(each.members, key=lambda one: one.n)
        assert list(each.members) == in_order, "it joins them in another order"
        unnamed = [
            one.key
            for one in each.members
            if one.severity == "critical" and one.alert_id[:8] not in each.alert.text
        ]
        assert not unnamed, f"it does not name the critical {unnamed}"
    named = {one.key for each in joined for one in each.members if one.alert_id[:8] in each.alert.text}
    _check_members(case.facts.waiting(case.receiver, 99), members, named)


def _check_members(
    waiting: Sequence[WaitingDelivery], members: Sequence[WaitingDelivery], named: Collection[str]
) -> None:
    assert set(members) <= set(waiting), "it joins what does not wait"
    assert len(set(members)) == len(members), "it joins one twice"
    newest = {each.alert_id: each.number for each in waiting}
    for each in members:
        owed = each.heard and each.transition == "resolved" and each.number == newest[each.alert_id]
        by_itself = each.rule in (HEARTBEAT, DELIVERY_SUMMARY, DELIVERY_DIGEST)
        never = each.parked or each.in_doubt or (owed and each.key not in named) or by_itself
        assert not never, f"it joins what must be sent itself: {each}"
    left = {each.alert_id: each.number for each in reversed(waiting) if each not in members}
    behind = [each for each in members if each.number > left.get(each.alert_id, each.number)]
    assert not behind, f"it joins what waits behind one that is sent: {behind}"


_IMPURE_MODULES = frozenset({"time", "random", "secrets", "os", "uuid", "socket", "threading"})
_IMPURE_CALLS = frozenset({"now", "utcnow", "today"})


def impure_uses(source: str) -> list[str]:
    """What the source of a stage uses that is no argument of its calls: clocks, chance, files."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.split(".")[0] in _IMPURE_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _IMPURE_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            found.append("open")
        elif isinstance(node, ast.Attribute) and node.attr in _IMPURE_CALLS:
            found.append(node.attr)
    return found


def _later(case: Case) -> Case:
    return replace(case, facts=replace(case.facts, now=NOW + 1e6))


def _relative(verdict: Verdict, joined: Sequence[Joined], now: float) -> tuple[Any, ...]:
    until = round(verdict.until - now, 3) if isinstance(verdict, HoldUntil) else None
    state = verdict.state if isinstance(verdict, Stop) else None
    return type(verdict), until, state, [[member.n for member in each.members] for each in joined]
