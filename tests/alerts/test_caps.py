"""A receiver's cap: how many messages there are, what stands for the rest, what an episode's parts become."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from contracts.stages import FIRED, Facts
from fakes import alert_bodies
from fakes.delivering import QUICK, notifier
from fakes.slack import FakeSlack, Received
from fakes.waiting import until
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from alerts.receivers.registry import ReceiverSettings
from alerts.stages.cap import CapStage
from alerts.stages.importance import SERVICE_NEWS
from alerts.stages.stage import HoldUntil, Pass, Verdict
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.sent_messages import SentMessages
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.queries import explain
from streamer.store.tables import deliveries, outbox

WINDOW_S = 1.5
STORM = 500
Start = Callable[..., Notifier]


@pytest.fixture
def start(database: Database, slack_server: FakeSlack, at_work: Callable[[Notifier], Notifier]) -> Start:
    def begin(to: str = "ops", cap: str = "5/m", window_s: float = WINDOW_S) -> Notifier:
        bot = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": slack_server.api_url}
        hook = {"url": slack_server.webhook_url("ops"), "secret": {"env": "KEY"}}
        known = {"desk": {"slack": bot, "cap": cap}, "ops": {"webhook": hook, "cap": cap}}
        return at_work(notifier(database, {name: known[name] for name in to.split()}, {}, QUICK, window_s))

    return begin


def commit(database: Database, *alerts: tuple[str, int], **changes: Any) -> None:
    """Warnings, unless something else is said: criticals do not count against a cap."""
    alert_bodies.commit(database, *alerts, **{"severity": "warning", **changes})


def at_ops(server: FakeSlack) -> list[dict[str, Any]]:
    return [received.arguments for received in server.of("webhook/ops")]


def most_in_a_window(received: list[Received]) -> int:
    times = [each.monotonic for each in received]
    return max(sum(first <= at < first + WINDOW_S - 0.05 for at in times) for first in times)


def states(database: Database, receiver: str = "ops") -> dict[str, str]:
    c = deliveries.c
    query = select(c.alert_id, c.number, c.state).where(c.receiver == receiver).order_by(c.n)
    with database.read() as connection:
        return {f"{row.alert_id}-{row.number}": row.state for row in connection.execute(query)}


def held_by(database: Database, *episodes: str) -> dict[str, str | None]:
    rows = [row for alert_id in episodes for one in explain(database, alert_id) for row in one.deliveries]
    return {row["receiver"]: row["held_by"] for row in rows}


def storm(database: Database) -> None:
    """So many episodes of three rules, over two windows."""
    rules = ("fat_finger", "crossed_book", "odd_tape")
    for part in range(10):
        for place, rule in enumerate(rules):
            ids = range(part * STORM // 10 + place, (part + 1) * STORM // 10, len(rules))
            commit(database, *((f"s{n}", 0) for n in ids), rule=rule, severity="warning", symbol=f"S{part}")
        time.sleep(2 * WINDOW_S / 10)


def test_a_storm(database: Database, slack_server: FakeSlack, start: Start) -> None:
    running = start("desk ops", "20/m")
    storm(database)
    until(running.idle, 60)
    received = slack_server.of("webhook/ops")
    assert most_in_a_window(received) <= 20
    posts = slack_server.of("chat.postMessage")
    assert most_in_a_window(posts) <= 20

    alerts = [each for each in at_ops(slack_server) if each["origin"] == "detect"]
    summaries = [each for each in at_ops(slack_server) if each["rule"] == "delivery_summary"]
    assert len(alerts) >= 20
    assert summaries
    assert len(alerts) + sum(each["source"]["count"] for each in summaries) == STORM
    by_rule = Counter(each["rule"] for each in alerts)
    for each in summaries:
        by_rule.update(each["values"])
        assert f"{each['source']['count']:,} more than ops takes at 20 messages a minute" in each["text"]
        assert all(rule in each["text"] for rule in each["values"])
    assert by_rule == {"fat_finger": 170, "crossed_book": 170, "odd_tape": 160}

    with database.read() as connection:
        kept = connection.execute(select(func.count()).where(outbox.c.origin == "detect")).scalar_one()
        held_by = deliveries.c.held_by
        for receiver in ("desk", "ops"):
            of = deliveries.c.receiver == receiver
            counts: dict[Any, int] = dict(
                connection.execute(select(held_by, func.count()).where(of).group_by(held_by)).all()
            )
            told = counts.pop(None)
            assert told + sum(counts.values()) == STORM + len(counts)
            if receiver == "ops":
                assert counts == {f"{each['id']}-0": each["source"]["count"] for each in summaries}
    assert kept == STORM


def test_below_the_cap_nothing_waits(database: Database, slack_server: FakeSlack, start: Start) -> None:
    commit(database, *((f"e{n}", 0) for n in range(5)))
    until(start(window_s=3_600.0).idle)  # what waits would wait for an hour
    assert sorted(each["id"] for each in at_ops(slack_server)) == [f"e{n}" for n in range(5)]


def test_one_that_waits_goes_out_itself(database: Database, slack_server: FakeSlack, start: Start) -> None:
    commit(database, *((f"e{n}", 0) for n in range(6)))
    until(start().idle)
    assert sorted(each["id"] for each in at_ops(slack_server)) == [f"e{n}" for n in range(6)]
    assert most_in_a_window(slack_server.of("webhook/ops")) <= 5


def test_a_restart_is_no_second_helping(database: Database, slack_server: FakeSlack, start: Start) -> None:
    commit(database, *((f"e{n}", 0) for n in range(30)))
    first = start()
    until(lambda: len(at_ops(slack_server)) == 5)
    first.stop(0.0)
    until(start().idle)
    assert most_in_a_window(slack_server.of("webhook/ops")) <= 5
    alerts = [each for each in at_ops(slack_server) if each["origin"] == "detect"]
    counted = sum(each["source"].get("count", 0) for each in at_ops(slack_server))
    assert len(alerts) + counted == 30


def test_what_fits_under_a_raised_cap_is_sent_itself_after_a_restart(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    commit(database, *((f"e{n}", 0) for n in range(8)))
    first = start(cap="2/m")
    until(lambda: held_by(database, "e7").get("ops"))
    first.stop(0.0)
    until(start(cap="20/m").idle)
    assert sorted(each["id"] for each in at_ops(slack_server)) == [f"e{n}" for n in range(8)]


def test_a_summary_of_an_earlier_process_does_not_delay_the_next(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    first = start()
    overflow(database, slack_server, first)
    first.stop(0.0)
    messages = SentMessages(database, "ops", SystemClock())
    assert len(messages.since(0.0)) == 6, "but it counts under the cap, as all that was sent"
    assert messages.joined_age(SERVICE_NEWS, time.monotonic()) is None


def overflow(database: Database, slack_server: FakeSlack, running: Notifier, **changes: Any) -> None:
    """Five episodes told, five more (`x0` to `x4`) only in a summary."""
    commit(database, *((f"e{n}", 0) for n in range(5)))
    running.wake()
    until(lambda: len(at_ops(slack_server)) == 5)
    commit(database, *((f"x{n}", 0) for n in range(5)), **changes)
    running.wake()
    until(lambda: any(each["rule"] == "delivery_summary" for each in at_ops(slack_server)))
    until(running.idle)


def test_what_waits_names_the_cap_until_it_is_sent(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    commit(database, *((f"e{n}", 0) for n in range(6)))
    running = start()
    text = "cap: 5 messages a minute were sent, it waits for the next place"
    until(lambda: [n for n in range(6) if held_by(database, f"e{n}").get("ops") == text])
    until(running.idle)
    assert not [n for n in range(6) if held_by(database, f"e{n}").get("ops")]


def test_the_end_of_what_was_heard_is_never_summarised(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    running = start()
    commit(database, *((f"e{n}", 0) for n in range(5)))
    running.wake()
    until(lambda: len(at_ops(slack_server)) == 5)
    commit(database, ("e0", 1))
    commit(database, ("e0", 2), transition="resolved")
    commit(database, *((f"x{n}", 0) for n in range(20)))
    running.wake()
    until(running.idle)
    found = states(database)
    assert (found["e0-0"], found["e0-1"], found["e0-2"]) == ("done", "superseded", "done")
    assert ("e0", 2) in [(each["id"], each["number"]) for each in at_ops(slack_server)]


def test_what_was_summarised_goes_on_and_ends_unsaid(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    running = start()
    overflow(database, slack_server, running, severity="warning")
    told = len(at_ops(slack_server))
    commit(database, ("x0", 1), severity="warning")
    commit(database, ("x0", 2), severity="warning", transition="resolved")
    running.wake()
    until(lambda: states(database).get("x0-2") == "summarised")
    assert states(database)["x0-1"] == "summarised"
    assert len(at_ops(slack_server)) == told


def test_what_was_summarised_and_grew_worse_is_told_and_so_is_its_end(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    running = start("desk ops")
    overflow(database, slack_server, running, severity="warning")
    commit(database, ("x0", 1), severity="critical")
    commit(database, ("x0", 2), severity="critical", transition="resolved")
    running.wake()
    until(running.idle)
    assert (states(database)["x0-1"], states(database)["x0-2"]) == ("done", "done")
    (message,) = [
        each
        for each in slack_server.workspace.messages("desk")
        if each.thread_ts is None and each.metadata["event_payload"]["id"] == "x0"
    ]
    assert message.metadata["event_payload"]["number"] == 1
    assert "RESOLVED" in message.text


def test_a_receiver_without_a_cap_gets_everything(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    commit(database, *((f"e{n}", 0) for n in range(60)))
    until(start("ops", "off").idle)
    assert {each["id"] for each in at_ops(slack_server)} == {f"e{n}" for n in range(60)}


def test_a_summary_that_does_not_get_through_is_sent_again_under_its_key(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    from fakes.slack import Answer, server_error

    failed: list[str] = []

    def fault(method: str, arguments: Any) -> Answer | None:
        if method == "webhook/ops" and arguments["rule"] == "delivery_summary" and len(failed) < 2:
            failed.append(arguments["id"])
            return server_error(502, applied=True)
        return None

    slack_server.fault = fault
    commit(database, *((f"e{n}", 0) for n in range(30)))
    until(start().idle)
    tries = [each for each in slack_server.of("webhook/ops") if json.loads(each.body)["id"] == failed[0]]
    assert len(tries) == 3
    assert len({(each.headers["webhook-id"], each.body) for each in tries}) == 1
    assert StoreDeliveries(database).summary() == {"ops": {"done": 6, "summarised": 25}}


@pytest.mark.parametrize(
    ("settings", "cap"),
    [
        ({"console": {}}, 20),
        ({"file": {"path": "x.jsonl"}}, None),
        ({"file": {"path": "x.jsonl"}, "cap": "7/m"}, 7),
        ({"console": {}, "cap": "off"}, None),
    ],
)
def test_settings(settings: dict[str, Any], cap: int | None) -> None:
    assert ReceiverSettings.model_validate(settings).messages_per_minute == cap


@pytest.mark.parametrize("text", ["0/m", "20", "20/s", "-1/m", "1.5/m", "1000000/m", "none"])
def test_what_is_no_cap(text: str) -> None:
    with pytest.raises(ValueError, match="is neither off nor messages a minute, such as 20/m"):
        ReceiverSettings.model_validate({"console": {}, "cap": text})


@given(
    st.integers(1, 5),
    st.lists(st.floats(0.0, 30.0), max_size=60),
    st.lists(st.floats(0.0, 20.0), max_size=8),
)
def test_no_window_holds_more_than_the_cap(cap: int, gaps: list[float], before: list[float]) -> None:
    stage = CapStage({"desk": cap}, 20.0)
    now, sent = 100.0, sorted(100.0 - age for age in before)[:cap]

    def judged() -> Verdict:
        return stage.judge(FIRED, "desk", now, Facts(now, sent=tuple(now - at for at in sent)))

    for gap in gaps:
        now += gap
        verdict = judged()
        if isinstance(verdict, HoldUntil):
            assert verdict.until > now
            now = verdict.until
        assert isinstance(judged(), Pass)
        sent.append(now)
    assert all(sum(first <= at < first + 20.0 for at in sent) <= cap for first in sent)
