"""Mutes: through the real command on a real store, while a notifier delivers from it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forked
import pytest
from fakes.alert_bodies import commit
from fakes.delivering import claim_due, notifier, route_all
from fakes.slack import FakeSlack
from fakes.waiting import until
from sqlalchemy import select, update
from structlog.testing import capture_logs

from alerts.stages.matchers import matchers_to_json, rule_matchers
from streamer.notify.notifier import Notifier
from streamer.store.database import MEMORY, Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.outbox import StoreOutbox
from streamer.store.silences import StoreSilences, silences_in_force
from streamer.store.tables import deliveries, silences

ROOT = Path(__file__).parents[2]


@pytest.fixture
def running(database: Database, slack_server: FakeSlack) -> Iterator[Notifier]:
    hook = {"url": slack_server.webhook_url("ops"), "secret": {"env": "KEY"}}
    found = notifier(database, {"ops": {"webhook": hook}}, {})
    found.start()
    yield found
    found.stop(0.0)


@pytest.fixture
def config(tmp_path: Path, database: Database) -> Path:
    path = tmp_path / "tapewatch.yaml"
    path.write_text(
        "source:\n  files: [{match: '*.jsonl', format: tapewatch}]\n"
        f"store: {database.path}\n"
        "rules:\n  fat_finger: {when: size > 100}\n  huge: {when: size > 1000}\n"
    )
    return path


def tapewatch(*arguments: str | Path, expect: int = 0) -> str:
    done = forked.tapewatch(*arguments, folder=ROOT)
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def settled(database: Database, running: Notifier, *alerts: tuple[str, int], **changes: Any) -> None:
    commit(database, *alerts, **changes)
    running.wake()
    until(running.idle)


def rows(database: Database) -> dict[str, tuple[str, str | None]]:
    c = deliveries.c
    query = select(c.alert_id, c.number, c.state, c.held_by).order_by(c.n)
    with database.read() as connection:
        return {f"{row.alert_id}-{row.number}": (row.state, row.held_by) for row in connection.execute(query)}


def test_muted_and_unmuted_by_command(
    database: Database, running: Notifier, config: Path, slack_server: FakeSlack
) -> None:
    def arrived() -> list[str]:
        return [each.headers["webhook-id"] for each in slack_server.of("webhook/ops")]

    assert "nothing is muted" in tapewatch("mute", "-c", config)
    settled(database, running, ("before", 0))
    said = tapewatch(
        "mute", "fat_finger", "--for", "1h", "--by", "ann", "--reason", "a bad size", "-c", config
    )
    assert said.startswith("fat_finger is muted until 20")
    settled(database, running, ("a", 0), ("a", 1), ("before", 1))
    settled(database, running, ("before", 2), transition="resolved")
    settled(database, running, ("other", 0), rule="huge")
    assert arrived() == ["before-0", "before-2", "other-0"]
    found = rows(database)
    assert {key for key, (state, _) in found.items() if state == "muted"} == {"a-0", "a-1", "before-1"}
    assert found["a-0"][1] == said.strip().replace("fat_finger is ", "")

    (listed,) = tapewatch("mute", "-c", config, "--json").splitlines()
    mute = json.loads(listed)
    assert (mute["rule"], mute["by"], mute["reason"]) == ("fat_finger", "ann", "a bad size")
    assert "ann  a bad size" in tapewatch("mute", "-c", config)
    shown = tapewatch("alerts", "-c", config)
    assert shown.count("fat_finger") == 5
    assert "ops: 3 muted" in shown
    assert "ops: muted, muted until 20" in tapewatch("why", "a", "-c", config).replace("  ", " ")

    assert tapewatch("mute", "fat_finger", "--off", "-c", config).strip() == "fat_finger is no longer muted"
    assert tapewatch("mute", "fat_finger", "--off", "-c", config).strip() == "fat_finger is not muted"
    settled(database, running, ("c", 0), ("a", 2))
    assert sorted(arrived()[3:]) == ["a-2", "c-0"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["fat_finger"], "give a duration, or end the mute"),
        (["fat_finger", "--for", "1h", "--off"], "give a duration, or end the mute"),
        (["--off"], "name what to mute"),
        (["--for", "1h"], "name what to mute"),
        (["--symbol", "ACME"], "give a duration"),
        (["--past", "--for", "1h"], "--past and --all list mutes"),
        (["fat_finger", "--symbol", "", "--for", "1h"], "--symbol is empty"),
        (["--venue", "", "--off"], "--venue is empty"),
        (["7", "--off", "--symbol", "ACME"], "7 is the number of a mute"),
        (["7", "--off"], "there is no mute 7 in force"),
        (["fat_finger", "--for", "1 hour"], "--for: '1 hour' is not a duration"),
        (["fat_finger", "--for", "31d"], "'31d' is not between 1s and 30d"),
        (["fat_fingers", "--for", "1h"], "there is no rule 'fat_fingers'"),
        (["heartbeat", "--for", "1h"], "heartbeat cannot be muted"),
    ],
)
def test_what_cannot_be_meant(config: Path, arguments: list[str], problem: str) -> None:
    said = tapewatch("mute", *arguments, "-c", config, expect=2)
    assert problem in said
    assert "nothing is muted" in tapewatch("mute", "-c", config)


class Routed:
    """Rows as they are routed, at times of one's own."""

    def __init__(self) -> None:
        self.database = open_store(MEMORY)
        self.silences = StoreSilences(self.database)
        self.outbox = StoreOutbox(self.database)

    def at(self, now: float, alert_id: str, number: int, **changes: Any) -> str:
        commit(self.database, (alert_id, number), **changes)
        route_all(self.database, ("ops",), now)
        return rows(self.database)[f"{alert_id}-{number}"][0]


def documents(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in tapewatch("mute", *arguments, "--json").splitlines()]


def test_one_instrument_of_a_rule_is_muted(
    database: Database, running: Notifier, config: Path, slack_server: FakeSlack
) -> None:
    on = ("-c", config)
    settled(database, running, ("seen", 0), venue="XNAS", symbol="ACME")
    said = tapewatch("mute", "fat_finger", "--symbol", "ACMEE", "--for", "1h", *on)
    assert "no alert has been about symbol 'ACMEE' so far (did you mean 'ACME'?)" in said
    tapewatch("mute", "fat_finger", "--symbol", "ACME", "--venue", "XNAS", "--for", "1h", "--by", "ann", *on)
    for alert, changes in {
        "a": {"symbol": "ACME", "venue": "XNAS"},
        "b": {"symbol": "ACME", "venue": "ARCX"},
        "c": {"symbol": "BETA", "venue": "XNAS"},
        "d": {"symbol": "ACME", "venue": "XNAS", "rule": "huge"},
    }.items():
        settled(database, running, (alert, 0), **changes)
    assert {key for key, (state, _) in rows(database).items() if state == "muted"} == {"a-0"}

    said = tapewatch("mute", "fat_finger", "--off", *on)
    assert "fat_finger is not muted" in said
    assert "but fat_finger on XNAS ACME is: tapewatch mute 2 --off" in said
    assert tapewatch("mute", "2", "--off", "--by", "bob", *on).strip() == (
        "fat_finger on XNAS ACME is no longer muted"
    )
    settled(database, running, ("e", 0), venue="XNAS", symbol="ACME")
    assert rows(database)["e-0"][0] == "done"
    (over,) = documents("--past", *on)
    assert (over["n"], over["rule"], over["venue"], over["symbol"]) == (2, "fat_finger", "XNAS", "ACME")
    assert (over["by"], over["ended_by"], over["in_force"]) == ("ann", "bob", False)


def test_mutes_do_not_overwrite_each_other(database: Database, config: Path) -> None:
    on = ("-c", config)
    tapewatch("mute", "fat_finger", "--for", "1h", "--by", "ann", "--why", "a bad size", *on)
    tapewatch("mute", "--venue", "XNAS", "--for", "2h", *on)
    said = tapewatch("mute", "fat_finger", "--for", "3h", "--by", "bob", "--why", "still bad", *on)
    assert "the mute 1 by ann until" in said
    in_force = documents(*on)
    assert [(each["n"], each["rule"], each["venue"]) for each in in_force] == [
        (2, None, "XNAS"),
        (3, "fat_finger", None),
    ]
    (first,) = documents("--past", *on)
    assert (first["n"], first["by"], first["reason"], first["ended_by"]) == (1, "ann", "a bad size", "bob")
    assert [each["n"] for each in documents("--all", *on)] == [1, 2, 3]
    shown = tapewatch("mute", "--all", *on)
    assert "everything at XNAS" in shown
    assert "ended by bob ann a bad size" in " ".join(shown.split())


def test_thousands_of_past_mutes_do_not_slow_routing(database: Database) -> None:
    row = {"author": "", "reason": "", "created_at": 0.0, "starts_at": 0.0}
    over = matchers_to_json(rule_matchers("fat_finger"))
    with database.write() as connection:
        connection.execute(
            silences.insert(),
            [{**row, "matchers": over, "ends_at": 9e9, "ended_at": 1.0} for _ in range(20_000)],
        )
        connection.execute(
            silences.insert(),
            [{**row, "matchers": over, "ends_at": 1.0, "ended_at": None} for _ in range(100)],
        )
    StoreSilences(database).mute("huge", 9e9, 2.0)
    took = min(_seconds_to_read(database) for _ in range(20))
    assert took < 0.003


def _seconds_to_read(database: Database) -> float:
    with database.read() as connection:
        before = time.perf_counter()
        assert [each.rule for each in silences_in_force(connection, 3.0)] == ["huge"]
        return time.perf_counter() - before


def test_a_mute_ends_by_itself_and_what_goes_on_is_told_then() -> None:
    routed = Routed()
    routed.silences.mute("fat_finger", 100.0, 0.0)
    assert routed.at(99.9, "a", 0) == "muted"
    assert routed.at(100.0, "a", 1) == "pending"
    assert routed.at(101.0, "a", 2, transition="resolved") == "pending"


def test_the_end_of_what_nobody_heard_of_is_not_told() -> None:
    routed = Routed()
    routed.silences.mute("fat_finger", 100.0, 0.0)
    assert routed.at(50.0, "a", 0) == "muted"
    assert routed.at(150.0, "a", 1, transition="resolved") == "muted"


def test_another_mute_takes_the_place_of_the_first() -> None:
    routed = Routed()
    routed.silences.mute("fat_finger", 100.0, 0.0)
    routed.silences.mute("fat_finger", 50.0, 0.0)
    routed.silences.mute("huge", 70.0, 0.0)
    assert routed.silences.muted_rules(49.0) == {"fat_finger": 50.0, "huge": 70.0}
    assert routed.at(60.0, "a", 0) == "pending"
    assert routed.at(60.0, "b", 0, rule="huge") == "muted"


def test_muted_ones_hold_nothing_up_and_are_not_owed() -> None:
    routed = Routed()
    routed.silences.mute("fat_finger", 100.0, 0.0)
    routed.at(1.0, "a", 0)
    store = StoreDeliveries(routed.database)
    assert store.unfinished(["ops"]) == 0
    assert store.next_due("ops") is None
    routed.at(200.0, "a", 1)
    assert [item.key for item in claim_due(store, "ops", 9, 200.0)] == ["a-1"]


def test_a_mute_is_in_force_after_the_clock_is_set_back() -> None:
    routed = Routed()
    routed.silences.mute("fat_finger", 700.0, 100.0)
    assert routed.silences.muted_rules(50.0) == {"fat_finger": 700.0}
    assert routed.at(50.0, "a", 0) == "muted"


@pytest.mark.parametrize("matchers", ["no JSON", "7", '[{"field": "rule"}]', '["rule"]', "[]"])
def test_a_silence_that_cannot_be_read_is_left_out_and_named_once(matchers: str) -> None:
    routed = Routed()
    for _ in range(40):  # a number that no other store here has
        routed.silences.mute("fat_finger", 2.0, 1.0)
    routed.silences.mute("huge", 100.0, 1.0)
    with routed.database.write() as connection:
        connection.execute(
            update(silences).where(silences.c.n == 40).values(matchers=matchers, ends_at=100.0)
        )
        connection.execute(update(silences).where(silences.c.n == 40).values(ended_at=None))
    with capture_logs() as logs:
        assert routed.at(10.0, "a", 0) == "pending"
        assert routed.at(10.0, "b", 0, rule="huge") == "muted"
    warnings = [each for each in logs if each["log_level"] == "warning"]
    assert [each["silence"] for each in warnings] == [40]


def test_why_says_what_a_delivery_waits_for_and_what_became_of_it_before(database: Database) -> None:
    commit(database, ("a", 0), ("b", 0))
    route_all(database, ("ops",), 1.0)
    store = StoreDeliveries(database)
    (first,) = claim_due(store, "ops", 1, 2.0)
    store.retry(first, 3.0, "http_503", in_doubt=False)
    store.due_at("ops", 9, 4.0)
    store.hold_rank("ops", 0, "cap", "full")
    shown = tapewatch("why", "a", "--store", str(database.path))
    assert "ops: pending after 1 attempt (http_503), cap: full" in " ".join(shown.split())
    shown = tapewatch("why", "b", "--store", str(database.path))
    assert "ops: pending, cap: full" in " ".join(shown.split())
