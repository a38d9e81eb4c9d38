"""A store that version 1 has written: brought up to date with everything that is in it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import claim_due, route_all
from sqlalchemy import Connection, create_engine, inspect, select

from streamer.store.database import Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.migrations import migrate
from streamer.store.near_misses import Keeping, forget_near_misses
from streamer.store.outbox import StoreOutbox
from streamer.store.queries import AlertFilter, alerts, explain
from streamer.store.silences import StoreSilences
from streamer.store.tables import SCHEMA_VERSION, decisions, meta, metadata

VERSION_1 = Path(__file__).parent / "version_1.sql"


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    path = tmp_path / "tapewatch.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text())
    return path


def shape(database: Database) -> dict[str, tuple[set[str], set[str]]]:
    """Columns and indices of every table."""
    with database.read() as connection:
        looker = inspect(connection)
        return {
            table: (
                {column["name"] for column in looker.get_columns(table)},
                {str(index["name"]) for index in looker.get_indexes(table)},
            )
            for table in looker.get_table_names()
        }


def test_it_gets_the_tables_of_a_new_one(old_store: Path, tmp_path: Path) -> None:
    migrated, new = open_store(str(old_store)), open_store(str(tmp_path / "new.db"))
    assert shape(migrated) == shape(new)
    assert set(shape(migrated)) - {"sqlite_sequence"} == set(metadata.tables)
    with migrated.read() as connection:
        assert connection.execute(select(meta.c.value)).scalar() == str(SCHEMA_VERSION)
    migrated.close()
    new.close()


def test_what_is_in_it_is_kept_and_goes_on(old_store: Path) -> None:
    database = open_store(str(old_store))
    found = [(alert["id"], alert["number"]) for alert in alerts(database, AlertFilter(rule="fat_finger"), 99)]
    assert found == [("a", 0), ("a", 1), ("b", 0)]
    assert [row["state"] for row in explain(database, "b")[0].deliveries] == ["parked", "pending"]
    deliveries = StoreDeliveries(database)
    assert [item.key for item in claim_due(deliveries, "desk", 9, 100.0)] == ["a-1"]
    assert deliveries.unpark("desk") == 1
    StoreSilences(database).mute("fat_finger", 200.0, 100.0)
    (about_parking,) = StoreOutbox(database).unrouted(9)
    assert about_parking.rule == "delivery_parked"
    assert route_all(database, ("ops",), 100.0).held_back == {}
    database.close()


def test_near_misses_that_are_in_it_count_from_now_on(old_store: Path) -> None:
    row = "('m', 0, 'near_miss', 'for', 1, 'spot', 0, 7, 0, x'7b7d')"
    with closing(sqlite3.connect(old_store)) as connection, connection:
        connection.execute(
            "INSERT INTO decisions (alert_id, number, kind, held_by, task_id, topic, partition, offset, "
            f"index_, body) VALUES {row}"
        )
    database, now = open_store(str(old_store)), time.time()
    for later, left in ((60.0, 1), (200_000.0, 0)):
        with database.write() as connection:
            forget_near_misses(connection, Keeping(86_400.0, 9), now + later)
            found = connection.execute(select(decisions.c.n).where(decisions.c.kind == "near_miss")).all()
        assert len(found) == left
    database.close()


def test_mutes_in_force_go_on_as_silences(old_store: Path) -> None:
    now = time.time()
    engine = create_engine(f"sqlite:///{old_store}")
    with engine.begin() as connection:
        migrate(connection, target=4)
        for rule, until in (("huge", now + 600), ("old", now - 1)):
            connection.exec_driver_sql("INSERT INTO mutes VALUES (?, ?, ?)", (rule, until, now - 60))
    engine.dispose()
    database = open_store(str(old_store))
    silences = StoreSilences(database)
    assert silences.muted_rules(now) == {"huge": now + 600}
    commit(database, ("h", 0), rule="huge")
    commit(database, ("o", 0), rule="old")
    assert route_all(database, ("ops",), now).held_back == {("ops", "muted"): 1}
    assert silences.unmute("huge", now + 1)
    assert silences.muted_rules(now + 2) == {}
    database.close()


def left_at_7(connection: Connection, rows: Iterable[tuple[str, int, str, str, str, float, int]]) -> None:
    """Deliveries as version 7 left them: episode, number, transition, severity, state, next_at, in doubt."""
    migrate(connection, target=7)
    connection.exec_driver_sql("DELETE FROM deliveries")
    for n, (alert_id, number, transition, severity, *delivery) in enumerate(rows, 1_000):
        connection.exec_driver_sql(
            "INSERT INTO outbox (n, alert_id, number, origin, transition, rule, severity, ts_event_ns, "
            "body, config_hash, created_at, routed) VALUES (?, ?, ?, 'detect', ?, ?, ?, 0, '{}', '', 0, 1)",
            (n, f"new-{alert_id}", number, transition, "heartbeat" if alert_id == "h" else "x", severity),
        )
        connection.exec_driver_sql(
            "INSERT INTO deliveries (outbox_n, alert_id, number, receiver, state, next_at, in_doubt) "
            "VALUES (?, ?, ?, 'desk', ?, ?, ?)",
            (n, f"new-{alert_id}", number, *delivery),
        )


def test_deliveries_that_wait_get_their_place_among_all(old_store: Path) -> None:
    engine = create_engine(f"sqlite:///{old_store}")
    with engine.begin() as connection:
        left_at_7(
            connection,
            (
                ("w", 0, "fired", "warning", "pending", 0.0, 0),
                ("w", 1, "updated", "warning", "pending", 0.0, 0),
                ("i", 0, "fired", "info", "pending", 0.0, 0),
                ("r", 0, "fired", "warning", "pending", 0.0, 0),
                ("r", 1, "updated", "critical", "pending", 0.0, 0),
                ("p", 0, "fired", "critical", "parked", 0.0, 0),
                ("p", 1, "resolved", "critical", "pending", 0.0, 0),
                ("d", 0, "fired", "warning", "done", 0.0, 0),
                ("d", 1, "updated", "warning", "pending", 0.0, 1),
                ("d", 2, "resolved", "warning", "pending", 0.0, 0),
                ("l", 0, "fired", "critical", "pending", 500.0, 0),
                ("c", 0, "fired", "critical", "pending", 0.0, 0),
                ("h", 0, "fired", "info", "pending", 0.0, 0),
            ),
        )
    engine.dispose()
    database = open_store(str(old_store))
    deliveries = StoreDeliveries(database)
    due = [(each.transition.key, each.transition.rank) for each in deliveries.due("desk", 99)]
    first = [("new-c-0", 0), ("new-r-0", 1), ("new-h-0", 2)]
    assert due == [*first, ("new-w-0", 3), ("new-i-0", 5), ("new-d-1", 7)]
    assert deliveries.next_due("desk") == 500.0
    deliveries.delivered(claim_due(deliveries, "desk", 2, 400.0), 400.0)
    assert [each.transition.key for each in deliveries.due("desk", 1)] == ["new-r-1"]
    database.close()


def test_of_updates_that_wait_only_the_newest_is_left(old_store: Path) -> None:
    updates = [
        ("fired", "info", "done", 0),
        ("updated", "info", "pending", 0),
        ("updated", "info", "pending", 1),
        ("updated", "warning", "pending", 0),
        ("updated", "warning", "parked", 0),
        ("updated", "warning", "pending", 0),
        ("updated", "info", "pending", 0),
    ]
    ended = [("fired", "info", "pending", 0), ("updated", "info", "pending", 0)]
    ended.append(("resolved", "info", "pending", 0))
    engine = create_engine(f"sqlite:///{old_store}")
    with engine.begin() as connection:
        left_at_7(
            connection,
            [
                (episode, number, transition, severity, state, 0.0, in_doubt)
                for episode, rows in (("u", updates), ("e", ended))
                for number, (transition, severity, state, in_doubt) in enumerate(rows)
            ],
        )
    engine.dispose()
    database = open_store(str(old_store))
    states = [row.deliveries[0]["state"] for row in explain(database, "new-u")]
    assert states == ["done", "superseded", "pending", "pending", "parked", "superseded", "pending"]
    assert explain(database, "new-u")[1].deliveries[0]["held_by"] == "updated #2 overtook it"
    assert [row.deliveries[0]["state"] for row in explain(database, "new-e")] == [
        "pending",
        "superseded",
        "pending",
    ]
    due = StoreDeliveries(database).due("desk", 9)
    assert [(each.transition.key, each.transition.rank) for each in due] == [("new-u-2", 4), ("new-e-0", 5)]
    database.close()


def test_what_it_costs_grows_with_what_waits_and_no_faster(tmp_path: Path) -> None:
    def steps_with(updates: int) -> int:
        path, steps = tmp_path / f"{updates}.db", 0

        def count() -> int:
            nonlocal steps
            steps += 100
            return 0

        with closing(sqlite3.connect(path)) as old:
            old.executescript(VERSION_1.read_text())
        engine = create_engine(f"sqlite:///{path}")
        kinds = ["fired", *["updated"] * updates]
        rows = [("a", n, kind, "warning", "pending", 0.0, 1) for n, kind in enumerate(kinds)]
        with engine.begin() as connection:
            left_at_7(connection, rows)
            connection.connection.driver_connection.set_progress_handler(count, 100)  # type: ignore[union-attr]
            migrate(connection)
        engine.dispose()
        return steps

    assert steps_with(2_000) < 12 * steps_with(200)


def test_it_is_brought_up_to_date_once(old_store: Path) -> None:
    open_store(str(old_store)).close()
    database = open_store(str(old_store))
    assert StoreSilences(database).muted_rules(0.0) == {}
    database.close()
