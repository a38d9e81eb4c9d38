"""Pruning: what is over and old goes, what is open or owed stays, and the file stops growing."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import forked
import pytest
from fakes.alert_bodies import alert_body
from sqlalchemy import insert, update

from streamer.app.upkeep import Upkeep, shrink
from streamer.store import tables as t
from streamer.store.database import Database, StoreError, open_store
from streamer.store.dead_letter_sizes import DeadLetterSizes
from streamer.store.free_pages import file_pages, flush_log, rewrite
from streamer.store.pruning import Pruning, Retention
from streamer.store.silences import StoreSilences

DAY = 86_400.0
NOW = 200 * DAY
OLD, YOUNG = NOW - 91 * DAY, NOW - 89 * DAY
TASK = {
    "id": 1,
    "topic": "trades",
    "incarnation": "t1",
    "partition": 0,
    "epoch": 1,
    "config_hash": "c1",
    "code_version": "0.1.0+fold5",
    "started_at": 0.0,
}


CONFIG = """
store: {}
source: {{kafka: {{bootstrap: "localhost:9092"}}, topics: [{{match: trades, format: tapewatch}}]}}
"""


class Wall:
    def __init__(self, s: float) -> None:
        self.s = s

    def now(self) -> float:
        return self.s


@pytest.fixture
def store(tmp_path: Path) -> Database:
    database = open_store(str(tmp_path / "tapewatch.db"))
    with database.write() as connection:
        connection.execute(insert(t.tasks).values(**TASK))
    return database


def put(
    database: Database,
    alert_id: str,
    transitions: str,
    at: float,
    *,
    state: str = "done",
    origin: str = "detect",
    routed: int = 1,
    offset: int = 17,
) -> None:
    """An episode with its decisions, deliveries and steps; `transitions` by their first letters."""
    words = {"f": "fired", "u": "updated", "r": "resolved"}
    with database.write() as connection:
        for number, letter in enumerate(transitions):
            source = {"topic": "trades", "partition": 0, "offset": offset, "index": 0}
            row = {
                "alert_id": alert_id,
                "number": number,
                "task_id": 1,
                "origin": origin,
                "transition": words[letter],
                "rule": "big",
                "severity": "info",
                "ts_event_ns": 0,
                "body": alert_body(alert_id, number, source=source, text="x" * 300),
                "config_hash": "c1",
                "created_at": at,
                "routed": routed,
            }
            n = connection.execute(insert(t.outbox).values(row).returning(t.outbox.c.n)).scalar_one()
            place = {"topic": "trades", "partition": 0, "offset": offset, "index_": 0, "task_id": 1}
            key = {"alert_id": alert_id, "number": number}
            if origin == "detect":
                decision = {**key, **place, "kind": "transition", "body": b"{}" * 200}
                connection.execute(insert(t.decisions).values(decision))
            connection.execute(
                insert(t.deliveries).values(**key, outbox_n=n, receiver="desk", state=state, done_at=at)
            )
            connection.execute(
                insert(t.delivery_steps).values(**key, receiver="desk", step="post", result="C1:1")
            )


def letter(offset: int, at: float, size: int) -> dict[str, object]:
    return {
        "task_id": 1,
        "topic": "trades",
        "partition": 0,
        "offset": offset,
        "index_": 0,
        "reason": "bad_json",
        "detail": "",
        "value": b"x" * size,
        "size": size,
        "created_at": at,
    }


def ids(database: Database) -> list[str]:
    with database.read() as connection:
        return [
            row[0] for row in connection.exec_driver_sql("SELECT DISTINCT alert_id FROM outbox ORDER BY 1")
        ]


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_what_is_over_and_old_goes_and_what_is_open_or_owed_stays(store: Database) -> None:
    put(store, "over", "fur", OLD)
    put(store, "of the service", "f", OLD, origin="service")
    put(store, "open", "fu", OLD)
    put(store, "came back", "fru", OLD)
    put(store, "owed", "fr", OLD, state="pending")
    put(store, "parked", "fr", OLD, state="parked")
    put(store, "not routed", "fr", OLD, routed=0)
    put(store, "young", "fr", YOUNG)
    before = [count(store, name) for name in ("outbox", "deliveries", "delivery_steps")]
    would = Pruning(store, Retention(), NOW, dry_run=True).all()
    assert before == [count(store, name) for name in ("outbox", "deliveries", "delivery_steps")]
    counts = Pruning(store, Retention(), NOW).all()
    assert counts == would
    assert {name: gone for name, gone in counts.items() if gone} == {
        "alerts": 4,
        "decisions": 3,
        "deliveries": 4,
    }
    assert ids(store) == ["came back", "not routed", "open", "owed", "parked", "young"]
    assert count(store, "delivery_steps") == count(store, "deliveries") == count(store, "outbox")
    assert sum(Pruning(store, Retention(), NOW).all().values()) == 0


def test_an_episode_whose_end_is_young_is_kept_whole(store: Database) -> None:
    put(store, "long", "f", OLD)
    with store.write() as connection:
        row = {"number": 1, "transition": "resolved", "created_at": YOUNG}
        fired = connection.execute(t.outbox.select()).mappings().one()
        connection.execute(insert(t.outbox).values({**{k: v for k, v in fired.items() if k != "n"}, **row}))
    assert Pruning(store, Retention(), NOW).all()["alerts"] == 0
    assert Pruning(store, Retention(), NOW + 2 * DAY).all()["alerts"] == 2


def test_a_row_of_1970_does_not_take_what_was_written_before_it(store: Database) -> None:
    put(store, "two days old", "fr", NOW - 2 * DAY)
    put(store, "its clock was behind", "fr", 1_000.0)
    put(store, "yesterday", "fr", NOW - DAY)
    put(store, "begun by a clock that was behind", "f", 1_000.0)
    with store.write() as connection:
        fired = connection.execute(t.outbox.select().order_by(t.outbox.c.n.desc())).mappings().first()
        assert fired is not None
        row = {"number": 1, "transition": "resolved", "created_at": NOW}
        connection.execute(insert(t.outbox).values({**{k: v for k, v in fired.items() if k != "n"}, **row}))
    assert Pruning(store, Retention(), NOW).all()["alerts"] == 2
    assert ids(store) == ["begun by a clock that was behind", "two days old", "yesterday"]


def test_what_a_clock_that_ran_ahead_has_written_goes_once_what_came_later_is_old(store: Database) -> None:
    with store.write() as connection:
        connection.execute(update(t.tasks).values(started_at=DAY))
    put(store, "ahead", "fr", NOW + 5_000 * DAY)
    put(store, "behind", "f", 1_000.0)
    put(store, "right", "f", NOW)
    put(store, "behind again", "f", 2 * DAY)
    assert Pruning(store, Retention(), NOW + DAY).all()["alerts"] == 0, "what is behind says nothing"
    put(store, "ahead again", "fr", NOW + 5_000 * DAY)
    later = NOW + 91 * DAY
    would = Pruning(store, Retention(), later, dry_run=True).all()
    assert Pruning(store, Retention(), later).all() == would
    assert ids(store) == ["ahead again", "behind", "behind again", "right"]


def test_where_nothing_is_old_a_round_reads_little(store: Database) -> None:
    with store.write() as connection:
        connection.execute(insert(t.dead_letters), [letter(n, NOW - DAY, 10) for n in range(5_000)])
    for number in range(100):
        put(store, f"a{number}", "fr", NOW - DAY)
    steps: list[None] = []
    with store.read() as connection:
        driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    sizes = DeadLetterSizes(store)
    sizes.too_many(1 << 30)
    driver.set_progress_handler(lambda: steps.append(None), 100)
    Pruning(store, Retention(), NOW, sizes=sizes).all()
    driver.set_progress_handler(None, 0)
    assert len(steps) < 100, "an index says that nothing is old"


def test_decisions_and_deliveries_may_go_before_their_alert(store: Database) -> None:
    put(store, "over", "fr", NOW - 10 * DAY)
    put(store, "open", "f", NOW - 10 * DAY)
    keep = Retention(decisions_s=7 * DAY, deliveries_s=8 * DAY)
    counts = Pruning(store, keep, NOW).all()
    assert {name: gone for name, gone in counts.items() if gone} == {"decisions": 2, "deliveries": 2}
    assert ids(store) == ["open", "over"]


def test_dead_letters_go_by_age_and_by_size_whichever_comes_first(store: Database) -> None:
    ages = [NOW - 20 * DAY] * 10 + [NOW - DAY] * 500
    with store.write() as connection:
        connection.execute(insert(t.dead_letters), [letter(n, at, 10_000) for n, at in enumerate(ages)])
    keep = Retention(dead_letters_bytes=1 << 20)
    would = Pruning(store, keep, NOW, dry_run=True).all()
    counts = Pruning(store, keep, NOW).all()
    assert counts == would
    with store.read() as connection:
        left = [row[0] for row in connection.exec_driver_sql("SELECT offset FROM dead_letters ORDER BY n")]
    assert left[-1] == 509, "the newest stay"
    assert left == list(range(left[0], 510))
    assert 0 < len(left) * 10_000 <= 1 << 20
    sizes = DeadLetterSizes(store)
    assert not sizes.too_many(keep.dead_letters_bytes)
    with store.write() as connection:
        connection.execute(insert(t.dead_letters), [letter(n, NOW, 10_000) for n in range(600, 700)])
    assert sizes.too_many(keep.dead_letters_bytes), "what is new is added to what was counted"


def test_configurations_silences_and_orders_that_nothing_needs_go(store: Database) -> None:
    with store.write() as connection:
        for name in ("c1", "c2", "c3"):
            connection.execute(insert(t.configs).values(hash=name, text="{}", created_at=0.0))
        entry = {"task_id": 1, "seq": 1, "kind": "reload", "data": "c2"}
        connection.execute(insert(t.journal).values(entry))
        order = {"kind": "quarantine", "detector": "tape", "version": "v", "reason": "", "author": ""}
        for key in ("a", "b"):
            connection.execute(insert(t.control_inputs).values(**order, key=key, created_at=OLD))
    silences = StoreSilences(store)
    silences.mute("over", until=OLD, now=OLD - DAY)
    silences.mute("on", until=NOW + DAY, now=OLD)
    first = Pruning(store, Retention(), NOW).all()
    assert (first["configs"], first["silences"], first["control_inputs"]) == (0, 1, 1)
    assert Pruning(store, Retention(), NOW + 91 * DAY).all()["configs"] == 1
    with store.read() as connection:
        left = connection.exec_driver_sql("SELECT hash FROM configs ORDER BY 1").scalars().all()
    assert left == ["c1", "c2"]


def test_a_wall_clock_that_is_set_far_ahead_deletes_nothing(tmp_path: Path, store: Database) -> None:
    put(store, "over", "fr", NOW - DAY)
    wall, passed = Wall(NOW), [0.0]
    upkeep = Upkeep(store, Retention(), wall, lambda *_: None, lambda: passed[0])
    wall.s = NOW + 5_000 * DAY
    assert not any(upkeep.round().values())
    passed[0] += 100 * DAY
    assert upkeep.round()["alerts"] == 2


@pytest.mark.parametrize("restarts", [2, 30])
def test_nor_does_a_start_while_it_is_ahead_and_it_is_believed_after_a_day(
    restarts: int, store: Database
) -> None:
    put(store, "over", "fr", NOW - DAY)
    wall, passed = Wall(NOW), [0.0]

    def started() -> Upkeep:
        return Upkeep(store, Retention(), wall, lambda *_: None, lambda: passed[0])

    assert not any(started().round().values())
    wall.s += 365 * DAY
    for number in range(restarts):
        wall.s += 0.9 * DAY / (restarts - 1) if number else 0.0
        passed[0] = 7.0  # the machine was started again, too
        upkeep = started()
        assert not any(upkeep.round().values())
    wall.s, passed[0] = wall.s + 0.2 * DAY, passed[0] + 0.2 * DAY
    assert upkeep.round()["alerts"] == 2


def test_nights_and_weekends_are_no_clock_that_was_set(store: Database) -> None:
    put(store, "over", "fr", NOW - 89 * DAY)
    wall = Wall(NOW)
    Upkeep(store, Retention(), wall, lambda *_: None, lambda: 0.0).round()
    wall.s += 2.7 * DAY
    assert Upkeep(store, Retention(), wall, lambda *_: None, lambda: 0.0).round()["alerts"] == 2


def test_a_clock_that_was_wrong_at_the_start_is_believed_after_a_day(store: Database) -> None:
    put(store, "over", "fr", NOW)
    wall, passed = Wall(600.0), [10.0]
    upkeep = Upkeep(store, Retention(), wall, lambda *_: None, lambda: passed[0])
    for day in (0, 1, 100):
        passed[0], wall.s = 70 + day * DAY, NOW + day * DAY
        gone = upkeep.round()["alerts"]
    assert gone == 2


def month(store: Database, path: Path, days: int, a_day: int) -> list[int]:
    """The file's size after each day, on which it is pruned twice."""
    keep = Retention(alerts_s=5 * DAY, decisions_s=5 * DAY, deliveries_s=5 * DAY, dead_letters_bytes=2 << 20)
    wall, sizes, offset = Wall(NOW), [], 0
    watched: list[int] = []
    upkeep = Upkeep(store, keep, wall, lambda _counts, size, _free: watched.append(size), lambda: wall.s)
    for day in range(days):
        for _ in range(2):
            with store.write() as connection:
                junk = [
                    letter(offset + n, wall.s, 400) for n in range(a_day * (50 if day == days // 2 else 1))
                ]
                connection.execute(insert(t.dead_letters), junk)
            for number in range(a_day):
                offset += 1
                put(store, f"{wall.s}-{number}", "fr" if number else "f", wall.s, offset=offset)
            offset += a_day * 50
            wall.s += DAY / 2
            upkeep.round()
        sizes.append(watched[-1])
    assert path.stat().st_size <= max(sizes) * 1.1
    return sizes


def check_month(store: Database, path: Path, days: int, a_day: int) -> None:
    sizes = month(store, path, days, a_day)
    settled = sizes[7 : days // 2]
    assert max(settled) < 1.15 * min(settled), "flat once the first days are gone"
    assert sizes[days // 2] > 1.3 * max(settled), "a deploy that makes dead letters"
    assert max(sizes[days // 2 + 1 :]) < 1.1 * sizes[days // 2], "bounded by their size"


@pytest.mark.long  # test_month shows it of the whole service
def test_a_month_later_the_store_is_as_large_as_after_a_week(store: Database, tmp_path: Path) -> None:
    check_month(store, tmp_path / "tapewatch.db", 22, 12)


@pytest.mark.long
def test_a_month_later_the_store_is_as_large_as_after_a_week_long(store: Database, tmp_path: Path) -> None:
    check_month(store, tmp_path / "tapewatch.db", 45, 150)


def test_every_step_deletes_a_bounded_number_of_rows(store: Database) -> None:
    for number in range(300):
        put(store, f"a{number}", "fr", OLD)
    with store.write() as connection:
        connection.execute(insert(t.dead_letters), [letter(n, 0.0, 10) for n in range(1_000)])
    steps = list(Pruning(store, Retention(), NOW).steps())
    assert sum(sum(step.values()) for step in steps) == 300 * 6 + 1_000
    assert max(sum(step.values()) for step in steps) <= 300, "no commit waits for more"


def test_a_store_of_an_older_version_shrinks_once_it_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.executescript((Path(__file__).parent / "version_1.sql").read_text())
    database = open_store(str(path))
    assert not file_pages(database).shrinks
    rewrite(database)
    assert file_pages(database).shrinks
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE filler (x)")
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) "
            "INSERT INTO filler SELECT randomblob(1000) FROM n"
        )
    large = file_pages(database).count
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM filler")
    between: list[None] = []
    shrink(database, lambda: between.append(None))
    assert file_pages(database).count < large / 2
    assert len(between) > 5, "bit by bit"
    database.close()


def test_a_file_that_cannot_be_written_anew_is_as_it_was_and_says_why(
    store: Database, tmp_path: Path
) -> None:
    with store.write() as connection:
        connection.execute(insert(t.dead_letters), [letter(n, NOW, 10_000) for n in range(400)])
    before = count(store, "dead_letters")
    flush_log(store)
    small = (tmp_path / "tapewatch.db").stat().st_size // 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (small, limits[1]))  # as where the disk is full
    try:
        with pytest.raises(StoreError, match=r"is as it was: .* MiB, free beside it"):
            rewrite(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert count(store, "dead_letters") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("etilqs")] == []


def test_the_command_counts_first_and_then_deletes(store: Database, tmp_path: Path) -> None:
    def tapewatch(*arguments: str) -> str:
        done = forked.tapewatch(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    put(store, "over", "fr", 0.0)
    (tmp_path / "tapewatch.yaml").write_text(CONFIG.format(tmp_path / "tapewatch.db"))
    config = ("-c", str(tmp_path / "tapewatch.yaml"))
    assert "2 alerts" in tapewatch("prune", "--dry-run", *config)
    assert ids(store) == ["over"]
    assert "2 alerts" in tapewatch("prune", *config)
    assert ids(store) == []
