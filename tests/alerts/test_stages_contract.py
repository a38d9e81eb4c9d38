"""Every registered stage keeps the contract, and one that does not is noticed."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from contracts.stages import FIRED, NOW, SETTINGS, WORSE, Facts, check, impure_uses

from alerts.stages import stage as messages
from alerts.stages.cap import CapStage
from alerts.stages.registry import STAGES, RegisteredStage, StageSettings, build_stages
from alerts.stages.route import Router, RouteSettings
from alerts.stages.silence import SilenceStage
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Stop, Verdict
from alerts.stages.view import StageView, WaitingDelivery


@pytest.mark.parametrize("registered", STAGES, ids=lambda each: each.name)
def test_a_registered_stage_keeps_the_contract(registered: RegisteredStage) -> None:
    check(registered)


def test_stages_are_registered_once_and_in_the_order_of_their_phases() -> None:
    built = [each.build(SETTINGS) for each in STAGES]
    assert len({stage.name for stage in built}) == len(built)
    phases = [stage.phase for stage in built]
    assert phases == sorted(phases, key=("routing", "claim").index)


def test_what_passes_between_stages_is_frozen() -> None:
    kinds = [kind for kind in vars(messages).values() if dataclasses.is_dataclass(kind)]
    assert len(kinds) >= 5
    assert all(kind.__dataclass_params__.frozen for kind in kinds)  # type: ignore[union-attr]


def wrong(verdict: Any, *, phase: str = "routing", name: str = "silence") -> RegisteredStage:
    """A stage that says this, registered as `silence`, whose cases it is asked about."""

    class Wrong(SilenceStage):
        def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
            said = super().judge(transition, receiver, now, view)
            return verdict(now, said) if callable(verdict) else verdict  # type: ignore[no-any-return]

    Wrong.name, Wrong.phase = name, phase  # type: ignore[assignment]
    return RegisteredStage("silence", lambda settings: Wrong(settings.late_after_s))


calls = itertools.count()
WRONG = {
    "another name": (wrong(lambda _, said: said, name="mute"), "another name than its registration"),
    "an unknown phase": (wrong(lambda _, said: said, phase="later"), "runs at no known time"),
    "says nothing": (wrong(None), "it says None"),
    "says yes": (wrong(True), "it says True"),
    "an empty reason": (wrong(Pass(" ")), "gives no reason"),
    "no reason": (wrong(Pass(None)), "its reason is no text"),  # type: ignore[arg-type]
    "holds at routing": (wrong(HoldUntil("later", NOW + 9)), "holds at routing"),
    "holds into the past": (
        wrong(lambda now, _: HoldUntil("later", now), phase="claim"),
        "until a time that has passed",
    ),
    "a state of what is sent": (wrong(Stop("no", "done")), "stops as 'done'"),
    "no state at a claim": (wrong(Stop("no", None), phase="claim"), "stops as None"),
    "always passes": (wrong(Pass("why not")), "it says Pass"),
    "counts": (
        wrong(lambda _, said: dataclasses.replace(said, reason=f"{said.reason} {next(calls)}")),
        "another answer to the same question",
    ),
    "goes by a clock": (
        wrong(lambda _, said: dataclasses.replace(said, reason=f"{said.reason} {time.time()}")),
        "looks at a clock",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_stage_is_noticed(name: str) -> None:
    registered, problem = WRONG[name]
    with pytest.raises(AssertionError, match=problem):
        check(registered)


def wrong_join(change: Callable[[Joined, Sequence[WaitingDelivery]], Joined]) -> RegisteredStage:
    """The cap, with what it joins changed; `change` is also told what waits."""

    class Wrong(CapStage):
        def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
            joined = super().join(receiver, now, view)
            return [change(each, view.waiting(receiver, 99)) for each in joined]

    return RegisteredStage(
        "cap", lambda settings: Wrong(settings.caps, settings.cap_window_s, settings.edits)
    )


def instead(which: Callable[[WaitingDelivery], bool]) -> RegisteredStage:
    """A cap that joins one of these in place of its first."""

    def change(joined: Joined, waiting: Sequence[WaitingDelivery]) -> Joined:
        others = [each for each in waiting if which(each)]
        members = sorted([*others[:1], *joined.members[len(others[:1]) :]], key=lambda each: each.n)
        return dataclasses.replace(joined, members=members)

    return wrong_join(change)


ITSELF = "joins what must be sent itself"
WRONG_JOINS = {
    "one twice": (
        wrong_join(lambda j, _: dataclasses.replace(j, members=[*j.members[:-1], j.members[0]])),
        "joins one twice",
    ),
    "newest first": (
        wrong_join(lambda j, _: dataclasses.replace(j, members=j.members[::-1])),
        "in another order",
    ),
    "a critical without its name": (
        wrong_join(lambda j, _: dataclasses.replace(j, alert=dataclasses.replace(j.alert, text="many"))),
        "does not name the critical",
    ),
    "too few": (
        wrong_join(lambda j, _: dataclasses.replace(j, members=j.members[1:])),
        r"it joins \[Joined",
    ),
    "one that does not wait": (
        wrong_join(
            lambda j, _: dataclasses.replace(
                j, members=[*j.members[:-1], dataclasses.replace(j.members[-1], n=77)]
            )
        ),
        "joins what does not wait",
    ),
    "a parked one": (instead(lambda each: each.parked), ITSELF),
    "one in doubt": (instead(lambda each: each.in_doubt), ITSELF),
    "an end that is owed": (instead(lambda each: each.heard), ITSELF),
    "a heartbeat": (instead(lambda each: each.rule == "heartbeat"), ITSELF),
    "a summary": (instead(lambda each: each.rule == "delivery_summary"), ITSELF),
    "one behind a parked one": (
        instead(lambda each: each.alert_id == "parked" and not each.parked),
        "waits behind one that is sent",
    ),
    "a state of what is sent": (
        wrong_join(lambda j, _: dataclasses.replace(j, state="done")),
        "keeps what it joins as 'done'",
    ),
    "no reason": (wrong_join(lambda j, _: dataclasses.replace(j, reason=" ")), "no reason for what it joins"),
    "no text": (
        wrong_join(lambda j, _: dataclasses.replace(j, alert=dataclasses.replace(j.alert, text=""))),
        "says nothing",
    ),
    "a rule of its own": (
        wrong_join(lambda j, _: dataclasses.replace(j, alert=dataclasses.replace(j.alert, rule="news"))),
        "no alert of the service",
    ),
}


@pytest.mark.parametrize("name", WRONG_JOINS)
def test_a_wrong_join_is_noticed(name: str) -> None:
    registered, problem = WRONG_JOINS[name]
    with pytest.raises(AssertionError, match=problem):
        check(registered)


@pytest.mark.parametrize(
    "path", sorted(Path(messages.__file__).parent.glob("*.py")), ids=lambda each: each.name
)
def test_stages_use_no_clock_no_chance_and_no_file(path: Path) -> None:
    assert impure_uses(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("from time import monotonic", "time"),
        ("import random as chance", "random"),
        ("import os.path", "os.path"),
        ("import secrets", "secrets"),
        ("text = open('/etc/hostname').read()", "open"),
        ("import datetime\ndatetime.datetime.now()", "now"),
        ("from datetime import date as d\nday = d.today", "today"),
    ],
)
def test_impure_stages_are_noticed(source: str, used: str) -> None:
    assert impure_uses(source) == [used]


class CountingRouter(Router):
    """Counts how often it evaluates the routes."""

    evaluated = 0

    def receivers(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        self.evaluated += 1
        return super().receivers(body)


def test_routes_are_evaluated_once_for_all_receivers_when_they_are_prepared() -> None:
    router = CountingRouter(RouteSettings.model_validate({"to": ["desk"]}), ("desk", "ops", "night"))
    chain = build_stages(StageSettings(router))
    assert isinstance(chain.judge("routing", FIRED, "desk", NOW, Facts()).verdict, Pass), "unprepared too"
    router.evaluated = 0
    prepared = chain.prepare([FIRED, WORSE])
    assert router.evaluated == 2
    for transition in (FIRED, WORSE):
        judgements = [prepared.judge("routing", transition, name, NOW, Facts()) for name in ("desk", "ops")]
        assert [type(each.verdict) for each in judgements] == [Pass, Stop]
    assert router.evaluated == 2


class Budget(Stage):
    """A new stage that nobody wrote cases for."""

    name = "budget"
    phase = "claim"

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        return Pass("nothing to wait for")


def test_a_stage_without_cases_is_refused() -> None:
    with pytest.raises(LookupError, match="stage 'budget' has no cases"):
        check(RegisteredStage("budget", lambda _: Budget()))


def test_something_that_is_no_stage_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no Stage"):
        check(RegisteredStage("silence", lambda _: object()))  # type: ignore[arg-type, return-value]
