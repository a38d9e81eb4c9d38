"""Every registered stage keeps the contract, and one that does not is noticed."""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import Any

import pytest
from contracts.stages import NOW, SETTINGS, check

from alerts.stages import stage as messages
from alerts.stages.registry import STAGES, RegisteredStage
from alerts.stages.silence import SilenceStage
from alerts.stages.stage import AlertTransition, HoldUntil, Pass, Stage, Stop, Verdict
from alerts.stages.view import StageView


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
    return RegisteredStage("silence", lambda _: Wrong())


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


class Digest(Stage):
    """A new stage that nobody wrote cases for."""

    name = "digest"
    phase = "claim"

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        return Pass("nothing to wait for")


def test_a_stage_without_cases_is_refused() -> None:
    with pytest.raises(LookupError, match="stage 'digest' has no cases"):
        check(RegisteredStage("digest", lambda _: Digest()))


def test_something_that_is_no_stage_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no Stage"):
        check(RegisteredStage("silence", lambda _: object()))  # type: ignore[arg-type, return-value]
