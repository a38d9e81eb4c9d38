"""Cases for every registered stage, and the contract that each of them is held to.

A stage without cases is refused, so that a new one cannot be registered without being tested.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from alerts.service_alert import DELIVERY_SUMMARY, HEARTBEAT, SERVICE_RULES
from alerts.stages.matchers import Silence, rule_matchers
from alerts.stages.registry import RegisteredStage, StageSettings
from alerts.stages.route import Router, RouteSettings
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Stop, Verdict
from alerts.stages.view import SENT_STATES, EpisodeAtReceiver, WaitingDelivery

NOW = 1_767_623_400.0
WINDOW_S = 60.0
SETTINGS = StageSettings(
    Router(RouteSettings.model_validate({"to": ["desk"]}), ("desk", "ops")),
    {"desk": 3, "ops": None},
    WINDOW_S,
)
FIRED = AlertTransition(
    "a", 0, "fat_finger", "warning", "fired", {"rule": "fat_finger", "severity": "warning", "symbol": "ACME"}
)
RESOLVED = replace(FIRED, number=1, transition="resolved")
WORSE = replace(FIRED, number=1, transition="updated", severity="critical")


@dataclass(frozen=True)
class Facts:
    """A view that answers from what it is given; times are seconds before now."""

    now: float = NOW
    episodes: Mapping[tuple[str, str], EpisodeAtReceiver] = field(default_factory=dict)
    muted: tuple[str, ...] = ()
    sent: tuple[float, ...] = ()
    joined: float | None = None
    held: bool = False
    wait: tuple[WaitingDelivery, ...] = ()

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        return self.episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        return [Silence(rule_matchers(rule), "ann", "", now - 60, now + 600) for rule in self.muted]

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        return [self.now - age for age in self.sent if self.now - age > since]

    def joined_since(self, receiver: str, rule: str, since: float) -> bool:
        return self.joined is not None and self.now - self.joined > since

    def holds(self, receiver: str, stage: str) -> bool:
        return self.held

    def waiting(self, receiver: str, limit: int) -> Sequence[WaitingDelivery]:
        return self.wait[:limit]


@dataclass(frozen=True)
class Case:
    """A question to a stage, and the kind of its answer."""

    expected: type[Pass | HoldUntil | Stop]
    facts: Facts = Facts()
    transition: AlertTransition = FIRED
    receiver: str = "desk"
    joins: int = 0


def _waiting(count: int) -> tuple[WaitingDelivery, ...]:
    return tuple(WaitingDelivery(n, f"w{n}", 0, "fat_finger", "warning", "fired") for n in range(count))


def _not_joined(first: int) -> tuple[WaitingDelivery, ...]:
    """What waits and is never joined, and what waits behind it."""
    (fresh,) = _waiting(1)
    each = [
        replace(fresh, alert_id="parked", parked=True),
        replace(fresh, alert_id="parked", number=1, transition="updated"),
        replace(fresh, alert_id="doubt", in_doubt=True),
        replace(fresh, alert_id="doubt", number=1, transition="updated"),
        replace(fresh, alert_id="heard", number=1, transition="resolved", heard=True),
        replace(fresh, alert_id="heartbeat", rule=HEARTBEAT),
        replace(fresh, alert_id="summary", rule=DELIVERY_SUMMARY),
    ]
    return tuple(replace(one, n=n) for n, one in enumerate(each, first))


HEARD = {("a", "desk"): EpisodeAtReceiver(heard=True), ("a", "ops"): EpisodeAtReceiver(heard=True)}
MUTED = {("a", "desk"): EpisodeAtReceiver().after("muted", "muted until noon", "warning")}
SUMMARISED = {("a", "desk"): EpisodeAtReceiver().after("summarised", "s-0", "warning")}
FULL = (50.0, 40.0, 0.0)
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
    ),
    "cap": (
        Case(Pass),
        Case(Pass, Facts(sent=(1.0, 0.5))),
        Case(HoldUntil, Facts(sent=FULL)),
        Case(Pass, Facts(sent=(60.0, 40.0, 0.0))),
        Case(Pass, Facts(sent=FULL), receiver="ops"),
        Case(HoldUntil, Facts(sent=FULL, held=True, wait=_waiting(9))),
        Case(Pass, Facts(sent=FULL[1:], held=True, wait=_waiting(9)), joins=9),
        Case(Pass, Facts(sent=FULL[1:], held=True, wait=_waiting(1))),
        Case(Pass, Facts(sent=FULL[1:], held=True, wait=(*_waiting(3), *_not_joined(3))), joins=3),
        Case(Pass, Facts(sent=FULL[1:], held=True, wait=(*_waiting(1), *_not_joined(1)))),
        Case(Pass, Facts(sent=FULL[1:], held=False, wait=_waiting(9))),
        Case(Pass, Facts(joined=59.0, held=True, wait=_waiting(9))),
        Case(Pass, Facts(joined=61.0, held=True, wait=_waiting(9)), joins=9),
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


def _answer(stage: Stage, case: Case) -> tuple[Verdict, Joined | None]:
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


def _check_joined(case: Case, joined: Joined | None) -> None:
    assert (0 if joined is None else len(joined.members)) == case.joins, f"it joins {joined} of {case}"
    if joined is not None:
        assert joined.alert.rule in SERVICE_RULES, "what it joins them into is no alert of the service"
        assert (joined.alert.text or "").strip(), "what it joins them into says nothing"
        assert joined.state.isidentifier(), f"it keeps what it joins as {joined.state!r}"
        assert joined.state not in SENT_STATES, f"it keeps what it joins as {joined.state!r}"
        assert joined.reason.strip(), "it gives no reason for what it joins"
        _check_members(case.facts.wait, joined.members)


def _check_members(waiting: Sequence[WaitingDelivery], members: Sequence[WaitingDelivery]) -> None:
    assert set(members) <= set(waiting), "it joins what does not wait"
    assert len(set(members)) == len(members), "it joins one twice"
    assert list(members) == [each for each in waiting if each in members], "it joins them in another order"
    for each in members:
        owed = each.heard and each.transition == "resolved"
        never = each.parked or each.in_doubt or owed or each.rule in (HEARTBEAT, DELIVERY_SUMMARY)
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


def _relative(verdict: Verdict, joined: Joined | None, now: float) -> tuple[Any, ...]:
    until = round(verdict.until - now, 3) if isinstance(verdict, HoldUntil) else None
    state = verdict.state if isinstance(verdict, Stop) else None
    return type(verdict), until, state, None if joined is None else joined.members
