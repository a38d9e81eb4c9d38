"""Stages of one's own, driven over a real outbox: what they say is kept, and nothing else decides."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import KEY, QUICK
from fakes.slack import FakeSlack
from fakes.waiting import until

from alerts.alert import Observation
from alerts.receivers.receiver import Receiver
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.service_alert import service_alert
from alerts.stages.chain import StageChain
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Phase, Stage, Stop, Verdict
from alerts.stages.view import StageView
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.sender_context import SenderContext
from streamer.store.database import Database
from streamer.store.queries import explain

HELD_S = 0.7


@dataclass
class Rule(Stage):
    """Says what it is given to say of one episode, and passes the others."""

    episode: str
    verdict: Callable[[float, AlertTransition], Verdict]
    when: Phase
    name: ClassVar[str] = "rule"

    def __post_init__(self) -> None:
        self.phase = self.when  # type: ignore[misc]

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        return self.verdict(now, transition) if transition.alert_id == self.episode else Pass("another one")


def hook(server: FakeSlack) -> Receiver:
    settings = {"webhook": {"url": server.webhook_url("ops"), "secret": {"env": "KEY"}}}
    return build_receiver("ops", ReceiverSettings.model_validate(settings), lambda _: KEY, SystemClock())


@pytest.fixture
def outcomes() -> Counter[tuple[str, str]]:
    return Counter()


@pytest.fixture
def start(
    database: Database,
    slack_server: FakeSlack,
    outcomes: Counter[tuple[str, str]],
    at_work: Callable[[Notifier], Notifier],
) -> Callable[..., Notifier]:
    def watch(receiver: str, outcome: str, count: int = 1, waited_s: float | None = None) -> None:
        outcomes[receiver, outcome] += count

    def begin(*stages: Stage) -> Notifier:
        clock = SystemClock()
        known = ReceiverSet(("ops",), {"ops": hook(slack_server)}, StageChain(stages))
        return at_work(Notifier(known, SenderContext(database, clock, QUICK, watch)))

    return begin


def arrived(server: FakeSlack) -> list[str]:
    return [received.headers["webhook-id"] for received in server.of("webhook/ops")]


def delivery(database: Database, alert_id: str, number: int = 0) -> Any:
    (row,) = explain(database, alert_id)[number].deliveries
    return row


def test_without_stages_everything_goes_everywhere(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    commit(database, ("a", 0), ("b", 0))
    until(start().idle)
    assert arrived(slack_server) == ["a-0", "b-0"]


def test_one_that_is_held_goes_out_at_its_time_and_holds_no_other_episode(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    release_at = time.time() + HELD_S

    def later(now: float, _: AlertTransition) -> Verdict:
        return HoldUntil("not yet", release_at) if now < release_at else Pass("it is time")

    commit(database, ("a", 0), ("a", 1), ("b", 0))
    running = start(Rule("a", later, "claim"))
    until(lambda: arrived(slack_server) == ["b-0"])
    assert delivery(database, "a")["held_by"] == "rule: not yet"
    assert delivery(database, "a")["state"] == "pending"
    until(running.idle)
    assert time.time() >= release_at
    assert arrived(slack_server) == ["b-0", "a-0", "a-1"]
    assert delivery(database, "a")["held_by"] is None


def test_one_that_is_stopped_at_its_claim_is_kept_with_the_reason_and_holds_nothing_up(
    database: Database,
    slack_server: FakeSlack,
    start: Callable[..., Notifier],
    outcomes: Counter[tuple[str, str]],
) -> None:
    def first_only(_: float, transition: AlertTransition) -> Verdict:
        return Pass("a later one") if transition.number else Stop("not this one", "muted")

    commit(database, ("a", 0), ("a", 1), ("b", 0))
    running = start(Rule("a", first_only, "claim"))
    until(running.idle)
    until(lambda: outcomes == {("ops", "muted"): 1, ("ops", "delivered"): 2})
    assert sorted(arrived(slack_server)) == ["a-1", "b-0"]
    row = delivery(database, "a")
    assert (row["state"], row["held_by"], row["attempts"]) == ("muted", "not this one", 0)


def test_one_that_is_stopped_at_routing_is_never_asked_about_again(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    asked: list[str] = []

    def never(_: float, transition: AlertTransition) -> Verdict:
        asked.append(transition.alert_id)
        return Stop("no", None)

    def unreachable(_: float, transition: AlertTransition) -> Verdict:
        raise AssertionError(f"{transition.alert_id} was stopped before")

    commit(database, ("a", 0), ("b", 0))
    until(start(Rule("a", never, "routing"), Rule("a", unreachable, "claim")).idle)
    assert arrived(slack_server) == ["b-0"]
    assert asked == ["a"]
    assert explain(database, "a")[0].deliveries == ()


def test_a_rank_that_is_held_as_a_whole_gets_nothing_before(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    release_at = time.time() + HELD_S

    def all_alike(now: float, _: AlertTransition) -> Verdict:
        return HoldUntil("quiet", release_at, alike=True) if now < release_at else Pass("it is time")

    commit(database, ("a", 0), ("b", 0))
    running = start(Rule("a", all_alike, "claim"))
    until(lambda: explain(database, "b")[0].deliveries)
    until(lambda: delivery(database, "a")["held_by"] == "rule: quiet")
    until(lambda: delivery(database, "b")["held_by"] == "rule: quiet")
    assert arrived(slack_server) == []
    until(running.idle)
    assert arrived(slack_server) == ["a-0", "b-0"]


class Digest(Stage):
    """Joins all that waits, once there are two, and keeps the members in a state of its own."""

    name = "digest"
    phase = "claim"

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        return Pass("it waits for nothing")

    def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        waiting = [each for each in view.waiting(receiver, 9) if each.rule != "heartbeat"]
        if len(waiting) < 2:
            return ()
        digest = service_alert("heartbeat", (now,), "info", Observation(ts_event_ns=0, source={}, text="two"))
        return [Joined(digest, waiting, "digested", "in the digest", 11)]


def test_what_is_joined_is_kept_and_counted_in_the_words_of_the_stage(
    database: Database, start: Callable[..., Notifier], outcomes: Counter[tuple[str, str]]
) -> None:
    commit(database, ("a", 0), ("b", 0))
    until(start(Digest()).idle)
    for alert_id in ("a", "b"):
        row = delivery(database, alert_id)
        assert (row["state"], row["held_by"]) == ("digested", "in the digest")
    until(lambda: outcomes == {("ops", "digested"): 2, ("ops", "delivered"): 1})


def test_after_a_reload_a_sender_that_is_still_asking_its_stages_sends_nothing(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: float, __: AlertTransition) -> Verdict:
        asked.set()
        assert go_on.wait(20.0)
        return Pass("at last")

    commit(database, ("a", 0))
    running = start(Rule("a", slow, "claim"))
    assert asked.wait(20.0)
    running.turn_to(ReceiverSet(("ops",), {"ops": hook(slack_server)}, StageChain(())))
    until(running.idle)
    go_on.set()
    assert running.stop(5.0)
    assert arrived(slack_server) == ["a-0"]
