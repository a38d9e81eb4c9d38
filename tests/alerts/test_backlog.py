"""Much waits: what matters goes first, and what a sender does costs no more than when little waits."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import QUICK, claim_due, route_all
from fakes.waiting import until
from sqlalchemy import event
from structlog.testing import capture_logs

from alerts.receivers.receiver import Delivery, RetryableError
from alerts.receivers.slack.message import called
from alerts.stages.chain import StageChain
from alerts.stages.importance import SERVICE_NEWS
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Verdict
from alerts.stages.summary import SummaryHeading, summaries
from alerts.stages.view import StageView
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.sender_context import SenderContext
from streamer.notify.stage_views import StoreView
from streamer.store.database import Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.outbox import StoreOutbox
from streamer.store.parked_deliveries import parked_groups
from streamer.store.queries import explain
from streamer.store.told_severities import told_severity

STEPS = 100  # instructions of SQLite's machine that are counted at once
LITTLE, MUCH = 20, 2_000
LATER = time.time() + 3_600.0
KINDS = (  # receiver, state, ready, rank, next_at, number, count
    ("desk", "pending", 1, 10, 0.0, 0),
    ("desk", "pending", 1, 2, 0.0, 0),
    ("desk", "pending", 0, 8, 0.0, 1),
    ("desk", "pending", 2, 2, LATER, 0),
    ("desk", "parked", 1, 2, 0.0, 0),
    ("desk", "done", 1, 0, 0.0, 0),
    ("ops", "pending", 1, 0, 0.0, 0),
)


class Desk:
    """A receiver that notes what it gets, and answers when it is let."""

    def __init__(self, answers: Callable[[Delivery], None] = lambda _: None) -> None:
        self.got: list[str] = []
        self.most = 0
        self._on_way = 0
        self._answers = answers
        self._lock = threading.Lock()

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        with self._lock:
            self.got.append(delivery.key)
            self._on_way += 1
            self.most = max(self.most, self._on_way)
        try:
            self._answers(delivery)
        finally:
            with self._lock:
                self._on_way -= 1


def notifier(database: Database, desk: Desk, parallel: int = 4, *stages: Stage) -> Notifier:
    known = ReceiverSet(("desk",), {"desk": desk}, StageChain(stages), parallel={"desk": parallel})
    return Notifier(known, SenderContext(database, SystemClock(), QUICK))


@pytest.fixture
def start(database: Database, at_work: Callable[[Notifier], Notifier]) -> Callable[..., Notifier]:
    def begin(desk: Desk, parallel: int = 4, *stages: Stage) -> Notifier:
        return at_work(notifier(database, desk, parallel, *stages))

    return begin


class LowRanksWait(Stage):
    """Holds all but criticals, as a cap does that is used up."""

    name = "cap"
    phase = "claim"

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        if transition.severity == "critical":
            return Pass("critical")
        return HoldUntil("20 messages a minute were sent", now + 60.0, alike=True)


def fill(database: Database, count: int) -> None:
    """So many of each kind, and as many transitions that are not routed."""
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO outbox (alert_id, number, origin, transition, rule, severity, ts_event_ns, body, "
            "config_hash, created_at, routed) WITH RECURSIVE k(i) AS "
            "(VALUES (0) UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?) "
            "SELECT 'x' || i, 0, 'detect', 'fired', 'quiet', 'warning', 0, '{}', '', 0, 1 FROM k",
            (count * len(KINDS),),
        )
        for place, (receiver, state, ready, rank, next_at, number) in enumerate(KINDS):
            connection.exec_driver_sql(
                "INSERT INTO deliveries (outbox_n, alert_id, number, receiver, state, ready, rank, next_at, "
                "error) SELECT n, alert_id, ?, ?, ?, ?, ?, ?, 'http_400' FROM outbox "
                "WHERE rule = 'quiet' ORDER BY n LIMIT ? OFFSET ?",
                (number, receiver, state, ready, rank, next_at, count, place * count),
            )


class Counted:
    """Counts what SQLite does, on every connection."""

    def __init__(self, database: Database) -> None:
        self.steps = 0
        event.listen(database.engine, "checkout", self._watch)

    def _watch(self, connection: Any, *_: object) -> None:
        connection.set_progress_handler(self._count, STEPS)

    def _count(self) -> int:
        self.steps += STEPS
        return 0


def test_a_sender_does_as_much_for_a_post_whatever_waits(tmp_path: Path) -> None:
    def steps_of_criticals(count: int) -> float:
        database = open_store(str(tmp_path / f"{count}.db"))
        fill(database, count)
        counted, at = Counted(database), []
        desk = Desk(lambda _: at.append(counted.steps))
        commit(database, *((f"c{n}", 0) for n in range(31)))
        route_all(database, ("desk",), 1.0)
        running = notifier(database, desk, 1, LowRanksWait())
        running.start()
        until(lambda: len(at) == 31)
        held = explain(database, "x0")[0].deliveries[0]["held_by"]
        running.stop(0.0)
        database.close()
        assert sorted(desk.got) == sorted(f"c{n}-0" for n in range(31))
        assert held in (None, "cap: 20 messages a minute were sent")
        return (at[30] - at[0]) / 30

    assert steps_of_criticals(MUCH) < 1.5 * steps_of_criticals(LITTLE) + 2 * STEPS


def test_questions_of_the_store_cost_the_same_whatever_waits(tmp_path: Path) -> None:
    def steps_of_questions(count: int) -> dict[str, int]:
        database = open_store(str(tmp_path / f"{count}.db"))
        fill(database, count)
        counted, found = Counted(database), {}
        deliveries = StoreDeliveries(database)
        view = StoreView(database.read)
        commit(database, ("p", 0))
        route_all(database, ("desk",), 1.0)
        questions: dict[str, Callable[[], object]] = {
            "due": lambda: deliveries.due("desk", 4),
            "due behind a rank": lambda: deliveries.due("desk", 4, (3, None)),
            "next due": lambda: deliveries.next_due("desk"),
            "finished": lambda: deliveries.finished(("desk",)),
            "criticals": lambda: view.waiting("desk", 9, ranks=(0, 1)),
            "an episode's": lambda: view.waiting("desk", 9, episodes=("x1",)),
            "sent": lambda: view.sent_since("desk", 1.0, (0, 1)),
            "held": lambda: view.held("desk", "cap"),
            "told": lambda: deliveries.told("x1"),
            "in doubt": deliveries.recover,
            "what is parked elsewhere": lambda: parked_groups(database, ("ops",)),
            "parked": lambda: deliveries.park(
                deliveries.claim("desk", deliveries.due("desk", 1), 2.0)[0], "http_404", 2.0
            ),
        }
        for name, ask in questions.items():
            before = counted.steps
            ask()
            found[name] = counted.steps - before
        database.close()
        return found

    little, much = steps_of_questions(LITTLE), steps_of_questions(MUCH)
    assert {name: steps for name, steps in much.items() if steps > 1.5 * little[name] + 3 * STEPS} == {}


def test_a_hold_of_everything_writes_no_row_of_what_waits(
    database: Database, start: Callable[..., Notifier]
) -> None:
    fill(database, LITTLE)
    running = start(Desk(), 1, LowRanksWait())
    until(lambda: explain(database, "x0")[0].deliveries[0]["held_by"])
    assert explain(database, "x0")[0].deliveries[0]["held_by"] == "cap: 20 messages a minute were sent"
    assert explain(database, f"x{3 * LITTLE}")[0].deliveries[0]["held_by"] is None, "it waits for its time"
    running.stop(0.0)
    with database.read() as connection:
        written = "SELECT count(*) FROM deliveries WHERE held_by IS NOT NULL"
        assert connection.exec_driver_sql(written).scalar() == 0


def test_routing_costs_the_same_whatever_waits_and_takes_the_newest_criticals_first(tmp_path: Path) -> None:
    def steps_of_a_batch(count: int) -> int:
        database = open_store(str(tmp_path / f"{count}.db"))
        commit(database, ("c", 0), severity="info")
        with database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO outbox (alert_id, number, origin, transition, rule, severity, ts_event_ns, body,"
                " config_hash, created_at, routed) WITH RECURSIVE k(i) AS "
                "(VALUES (0) UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?) "
                "SELECT 'x' || i, 0, 'detect', 'fired', 'quiet', 'warning', 0, '{}', '', 0, 0 FROM k",
                (count,),
            )
        commit(database, ("c", 1), ("d", 0))
        counted = Counted(database)
        rows = StoreOutbox(database).unrouted(50)
        steps = counted.steps
        found = [(row.alert_id, row.number) for row in rows]
        assert ("d", 0) in found
        assert found.index(("c", 0)) < found.index(("c", 1)), "an episode keeps its order"
        assert ("x0", 0) in found, "the oldest have their turn"
        database.close()
        return steps

    assert steps_of_a_batch(MUCH * 5) < 1.5 * steps_of_a_batch(100) + 2 * STEPS


def test_a_critical_is_the_next_to_start_while_warnings_are_on_their_way(
    database: Database, start: Callable[..., Notifier]
) -> None:
    go_on = threading.Semaphore(0)
    desk = Desk(lambda _: go_on.acquire(timeout=20))
    commit(database, *((f"w{n}", 0) for n in range(20)), severity="warning")
    running = start(desk)
    until(lambda: len(desk.got) == 4)
    commit(database, ("c", 0), severity="critical")
    running.wake()
    until(lambda: explain(database, "c")[0].deliveries)
    assert desk.most == 4
    go_on.release()
    until(lambda: len(desk.got) == 5)
    assert desk.got[4] == "c-0"
    go_on.release(30)
    until(running.idle)
    assert desk.got[5:] == [f"w{n}-0" for n in range(4, 20)]


def test_a_critical_is_the_next_to_start_where_a_quick_receiver_stalls(
    database: Database, start: Callable[..., Notifier]
) -> None:
    """What was claimed ahead of it while the receiver was quick is given back."""
    quick, go_on = {f"w{n}-0" for n in range(30)}, threading.Semaphore(0)
    desk = Desk(lambda delivery: delivery.key in quick or go_on.acquire(timeout=20))
    commit(database, *((f"w{n}", 0) for n in range(60)), severity="warning")
    running = start(desk)
    until(lambda: len(desk.got) == len(quick) + 4)
    commit(database, ("c", 0), severity="critical")
    running.wake()
    until(lambda: explain(database, "c")[0].deliveries)
    time.sleep(0.2)
    go_on.release()
    until(lambda: len(desk.got) > len(quick) + 4)
    assert desk.got[len(quick) + 4] == "c-0"
    go_on.release(100)
    until(lambda: len(desk.got) == 61)


def test_a_commit_ends_the_wait_for_a_place(database: Database, start: Callable[..., Notifier]) -> None:
    desk = Desk()
    commit(database, ("w", 0), severity="warning")
    running = start(desk, 1, LowRanksWait())
    until(lambda: explain(database, "w")[0].deliveries)
    until(lambda: explain(database, "w")[0].deliveries[0]["held_by"])
    commit(database, ("c", 0), severity="critical")
    began = time.monotonic()
    running.wake()
    until(lambda: desk.got)
    assert desk.got == ["c-0"]
    assert time.monotonic() - began < 30.0
    assert explain(database, "w")[0].deliveries[0]["held_by"], "the warning still waits"


def test_order_is_kept_within_an_episode_while_several_are_on_their_way(
    database: Database, start: Callable[..., Notifier]
) -> None:
    desk = Desk(lambda _: time.sleep(0.01))
    rises = (("info", "fired"), ("warning", "updated"), ("critical", "updated"), ("critical", "resolved"))
    for number, (severity, transition) in enumerate(rises):
        commit(database, *((f"e{n}", number) for n in range(20)), severity=severity, transition=transition)
    until(start(desk).idle)
    assert len(desk.got) == 80
    assert 2 <= desk.most <= 4
    for n in range(20):
        assert [key for key in desk.got if key.startswith(f"e{n}-")] == [f"e{n}-{k}" for k in range(4)]


def test_a_rise_that_waits_behind_its_beginning_is_not_held_up_by_others(
    database: Database, start: Callable[..., Notifier]
) -> None:
    desk = Desk()
    commit(database, *((f"w{n}", 0) for n in range(30)), ("r", 0), severity="warning")
    commit(database, ("r", 1), severity="critical")
    route_all(database, ("desk",), 1.0)
    until(start(desk, 1).idle)
    assert desk.got[:2] == ["r-0", "r-1"]


def test_a_live_update_of_a_critical_hastens_its_late_beginning(database: Database) -> None:
    def due() -> list[tuple[str, int, int]]:
        found = StoreDeliveries(database).due("desk", 9)
        return [(each.transition.alert_id, each.transition.number, each.transition.rank) for each in found]

    commit(database, ("late", 0), ("on", 0), behind_s=400.0)
    commit(database, ("warns", 0), behind_s=400.0, severity="warning")
    commit(database, ("live", 0))
    route_all(database, ("desk",), 1.0)
    assert [each[0] for each in due()] == ["live", "late", "on", "warns"]
    commit(database, ("on", 1))
    commit(database, ("live", 1), ("live", 2))
    commit(database, ("warns", 1), severity="warning")
    route_all(database, ("desk",), 1.0)
    assert due() == [("on", 0, 0), ("live", 0, 0), ("late", 0, 100), ("warns", 0, 103)]
    commit(database, ("on", 2))
    route_all(database, ("desk",), 1.0)
    assert states(database, "on") == ["pending", "superseded", "pending"]
    deliveries = StoreDeliveries(database)
    deliveries.delivered(claim_due(deliveries, "desk", 2, 2.0), 2.0)
    assert due()[:2] == [("on", 2, 0), ("live", 2, 9)]


def test_a_critical_that_was_called_over_begins_anew(database: Database) -> None:
    commit(database, ("a", 0), ("b", 0))
    commit(database, ("a", 1), ("b", 1), transition="resolved")
    route_all(database, ("desk",), 1.0)
    members = StoreView(database.read).waiting("desk", 9, bodies=True)
    (part,) = summaries(SummaryHeading("delivery_summary", "desk", str), members, 2.0)
    joined = Joined(part.alert, part.members, "summarised", "s-0", SERVICE_NEWS)
    deliveries = StoreDeliveries(database)
    assert deliveries.join("desk", joined, 2.0)
    assert part.alert.text is not None
    assert part.alert.text.count("(over)") == 2
    commit(database, ("a", 2))
    route_all(database, ("desk",), 3.0)
    assert deliveries.due("desk", 9)[0].transition.key == "a-2"
    assert deliveries.due("desk", 9)[0].transition.rank == 0
    (again,) = (each for each in claim_due(deliveries, "desk", 9, 4.0) if each.alert_id == "a")
    again = replace(again, told=told_severity(database, again))
    assert called(again, ["<!here>"]) == ("<!here>",)


def states(database: Database, alert_id: str) -> list[str]:
    return [each.deliveries[0]["state"] for each in explain(database, alert_id)]


def test_of_updates_only_the_newest_waits(database: Database) -> None:
    commit(database, ("a", 0), ("a", 1), ("a", 2), severity="warning")
    route_all(database, ("desk",), 1.0)
    assert states(database, "a") == ["pending", "superseded", "pending"]
    assert explain(database, "a")[1].deliveries[0]["held_by"] == "updated #2 overtook it"
    commit(database, ("a", 3), severity="critical")
    assert route_all(database, ("desk",), 1.0).held_back == {("desk", "superseded"): 1}
    commit(database, ("a", 4), ("a", 5), severity="critical")
    route_all(database, ("desk",), 1.0)
    wanted = ["pending", "superseded", "superseded", "pending", "superseded", "pending"]
    assert states(database, "a") == wanted, "the rise is kept"
    commit(database, ("a", 6), severity="critical", transition="resolved")
    route_all(database, ("desk",), 1.0)
    assert states(database, "a") == [*wanted[:5], "superseded", "pending"]
    due = StoreDeliveries(database).due("desk", 9)
    assert [(each.transition.number, each.transition.rank) for each in due] == [(0, 1)]


@pytest.mark.parametrize("kept", ["trying", "in doubt", "parked"])
def test_an_update_that_may_have_arrived_is_not_superseded(database: Database, kept: str) -> None:
    commit(database, ("a", 0), severity="warning")
    route_all(database, ("desk",), 1.0)
    deliveries = StoreDeliveries(database)
    deliveries.delivered(deliveries.claim("desk", deliveries.due("desk", 9), 1.0), 1.0)
    commit(database, ("a", 1), severity="warning")
    route_all(database, ("desk",), 1.0)
    (update,) = deliveries.claim("desk", deliveries.due("desk", 9), 1.0)
    if kept == "in doubt":
        deliveries.retry(update, 1.0, "timeout", in_doubt=True)
    elif kept == "parked":
        deliveries.park(update, "http_400", 1.0)
    commit(database, ("a", 2), severity="warning")
    route_all(database, ("desk",), 1.0)
    assert states(database, "a") == ["done", "pending" if kept == "in doubt" else kept, "pending"]
    assert deliveries.due("desk", 9) == []
    if kept == "parked":
        deliveries.unpark("desk")
    deliveries.recover()
    (again,) = deliveries.claim("desk", deliveries.due_at("desk", 9, 2.0), 2.0)
    assert again.number == 1
    deliveries.delivered((again,), 2.0)
    assert [each.transition.number for each in deliveries.due("desk", 9)] == [2]


@pytest.mark.parametrize("came_back", ["refused", "crashed", "unparked"])
def test_a_rise_to_critical_is_not_held_up_by_what_was_being_tried(
    database: Database, came_back: str
) -> None:
    commit(database, ("a", 0), severity="warning")
    route_all(database, ("desk",), 1.0)
    deliveries = StoreDeliveries(database)
    deliveries.delivered(deliveries.claim("desk", deliveries.due("desk", 9), 1.0), 1.0)
    commit(database, ("a", 1), severity="warning")
    route_all(database, ("desk",), 1.0)
    (update,) = deliveries.claim("desk", deliveries.due("desk", 9), 1.0)
    if came_back == "unparked":
        deliveries.park(update, "http_400", 1.0)
    commit(database, ("w", 0), severity="warning")
    commit(database, ("a", 2), severity="critical")
    route_all(database, ("desk",), 1.0)
    if came_back == "refused":
        deliveries.retry(update, 2.0, "http_503", in_doubt=False)
    deliveries.recover()
    deliveries.unpark("desk")
    assert [each.transition.key for each in deliveries.due_at("desk", 9, 2.0)] == ["a-1", "w-0"]


def flap(database: Database, *numbers: int) -> None:
    """Odd ones are the ends of an episode, even ones its reopenings; each is routed on its own."""
    for number in numbers:
        transition = "resolved" if number % 2 else "updated"
        commit(database, ("a", number), severity="warning", transition=transition)
        route_all(database, ("desk",), 1.0)


def test_of_an_episode_that_ends_again_and_again_only_the_newest_waits(database: Database) -> None:
    commit(database, ("a", 0), severity="warning")
    route_all(database, ("desk",), 1.0)
    flap(database, *range(1, 7))
    assert states(database, "a") == ["pending", *["superseded"] * 5, "pending"], "it is open again"
    flap(database, 7)
    assert states(database, "a") == ["pending", *["superseded"] * 6, "pending"]
    assert explain(database, "a")[1].deliveries[0]["held_by"] == "updated #2 overtook it"
    commit(database, *(("b", number) for number in range(2)), severity="warning")
    commit(database, ("b", 2), ("b", 4), severity="warning", transition="resolved")
    route_all(database, ("desk",), 1.0)
    assert states(database, "b") == ["pending", "superseded", "superseded", "pending"]


@pytest.mark.parametrize("kept", ["trying", "tried", "in doubt", "parked"])
def test_an_end_that_was_tried_is_not_superseded(database: Database, kept: str) -> None:
    commit(database, ("a", 0), severity="warning")
    route_all(database, ("desk",), 1.0)
    deliveries = StoreDeliveries(database)
    deliveries.delivered(deliveries.claim("desk", deliveries.due("desk", 9), 1.0), 1.0)
    flap(database, 1)
    (end,) = deliveries.claim("desk", deliveries.due("desk", 9), 1.0)
    if kept == "parked":
        deliveries.park(end, "http_400", 1.0)
    elif kept != "trying":
        deliveries.retry(end, 9.0, "x", in_doubt=kept == "in doubt")
    flap(database, 2, 3, 4, 5)
    state = kept if kept in ("trying", "parked") else "pending"
    assert states(database, "a") == ["done", state, *["superseded"] * 3, "pending"]


@pytest.mark.parametrize("error", [TimeoutError("over"), ConnectionResetError(104, "reset")])
def test_an_error_of_the_network_is_tried_again_in_doubt_and_parks_nothing(
    database: Database, start: Callable[..., Notifier], error: OSError
) -> None:
    doubts: list[bool] = []

    def at_first(item: Delivery) -> None:
        doubts.append(item.in_doubt)
        if len(doubts) < 5:
            raise error

    commit(database, ("a", 0))
    desk = Desk(at_first)
    until(start(desk).idle)
    assert doubts == [False, True, True, True, True]
    assert states(database, "a") == ["done"]


@pytest.mark.parametrize("asked_s", [0.0, 100.0])
def test_a_receiver_that_asks_for_no_wait_is_asked_less_and_less(
    database: Database, start: Callable[..., Notifier], asked_s: float
) -> None:
    def refuse(_: Delivery) -> None:
        raise RetryableError("http_429", asked_s)

    def waits() -> list[float]:
        return [line["wait_s"] for line in logged if line["event"] == "delivery deferred"]

    wanted = [asked_s] if asked_s else [QUICK.deferral(turn) for turn in (1, 2, 3, 4)]
    commit(database, ("a", 0))
    with capture_logs() as logged:
        running = start(Desk(refuse))
        until(lambda: len(waits()) >= len(wanted))
        running.stop(0.0)
    assert waits()[: len(wanted)] == wanted


def test_after_a_pause_that_was_asked_for_fewer_are_on_their_way(
    database: Database, start: Callable[..., Notifier]
) -> None:
    refused = threading.Event()

    def once(_: Delivery) -> None:
        if not refused.is_set():
            refused.set()
            raise RetryableError("http_429", 0.3)
        time.sleep(0.02)

    desk = Desk(once)
    commit(database, *((f"w{n}", 0) for n in range(12)), severity="warning")
    running = start(desk)
    until(refused.is_set)
    time.sleep(0.1)
    assert len(desk.got) <= 4, "the pause is one for the whole receiver"
    desk.most = 0
    until(lambda: len(desk.got) >= 7)
    assert desk.most <= 2
    until(running.idle)
    assert len(set(desk.got)) == 12


def test_a_statement_holds_a_bounded_number_of_values(database: Database) -> None:
    def limited(connection: Any, *_: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 520)

    event.listen(database.engine, "checkout", limited)
    many = [f"x{n}" for n in range(1_300)]
    commit(database, *((alert_id, 0) for alert_id in many))
    route_all(database, ("desk",), 50.0, 2_000)
    found = StoreView(database.read).waiting("desk", 2_000, episodes=many)
    assert [each.alert_id for each in found] == many
