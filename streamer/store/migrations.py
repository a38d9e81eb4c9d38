"""Migrates the store of an older version to the tables of this one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, inspect, select, update

from streamer.errors import TapewatchError, UsageError
from streamer.store.foreign_files import OF_ANOTHER_PROGRAM
from streamer.store.tables import SCHEMA_VERSION, meta, metadata

Migration = Callable[[Connection], None]


def _to_2(connection: Connection) -> None:
    """Mutes, and deliveries that are held back. Plain SQL: the tables in code change, a step must not."""
    connection.exec_driver_sql("ALTER TABLE deliveries ADD COLUMN held_by TEXT")
    connection.exec_driver_sql("CREATE INDEX deliveries_outbox ON deliveries (outbox_n)")
    connection.exec_driver_sql(
        "CREATE TABLE mutes (rule TEXT NOT NULL PRIMARY KEY, until_at FLOAT NOT NULL, "
        "created_at FLOAT NOT NULL)"
    )


def _to_3(connection: Connection) -> None:
    """When a dead letter was replayed into its topic."""
    connection.exec_driver_sql("ALTER TABLE dead_letters ADD COLUMN replayed_at FLOAT")


def _to_4(connection: Connection) -> None:
    """Near misses expire; the age of those already there counts from now."""
    connection.exec_driver_sql("ALTER TABLE decisions ADD COLUMN created_at FLOAT")
    connection.exec_driver_sql(
        "UPDATE decisions SET created_at = strftime('%s', 'now') * 1.0 WHERE kind = 'near_miss'"
    )
    for name, column in (("decisions_near_misses", "n"), ("decisions_near_misses_by_age", "created_at")):
        connection.exec_driver_sql(f"CREATE INDEX {name} ON decisions ({column}) WHERE kind = 'near_miss'")


def _to_5(connection: Connection) -> None:
    """Silences in place of mutes; mutes in force go on as silences of their rule."""
    connection.exec_driver_sql(
        "CREATE TABLE silences (n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, matchers TEXT NOT NULL, "
        "author TEXT NOT NULL, reason TEXT NOT NULL, created_at FLOAT NOT NULL, starts_at FLOAT NOT NULL, "
        "ends_at FLOAT NOT NULL, ended_at FLOAT)"
    )
    connection.exec_driver_sql("CREATE INDEX silences_by_end ON silences (ends_at)")
    query = "SELECT rule, created_at, until_at FROM mutes WHERE until_at > strftime('%s', 'now') * 1.0"
    for rule, created_at, until_at in connection.exec_driver_sql(query).all():
        matchers = json.dumps([{"field": "rule", "op": "=", "value": rule}], separators=(",", ":"))
        connection.exec_driver_sql(
            "INSERT INTO silences (matchers, author, reason, created_at, starts_at, ends_at) "
            "VALUES (?, '', '', ?, 0, ?)",
            (matchers, created_at, until_at),
        )
    connection.exec_driver_sql("DROP TABLE mutes")


def _to_6(connection: Connection) -> None:
    """Control inputs: detectors that are quarantined, and the lifting of that."""
    connection.exec_driver_sql(
        "CREATE TABLE control_inputs (n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, "
        "kind TEXT NOT NULL, detector TEXT NOT NULL, version TEXT NOT NULL, reason TEXT NOT NULL, "
        "author TEXT NOT NULL, created_at FLOAT NOT NULL, UNIQUE (key))"
    )


def _to_7(connection: Connection) -> None:
    """Dead letters that stand for a range of offsets."""
    connection.exec_driver_sql("ALTER TABLE dead_letters ADD COLUMN last_offset INTEGER")


_OPEN = "state IN ('pending', 'trying', 'parked')"
# each statement looks at a delivery once, however many of its episode wait
_ORDER_DELIVERIES = (
    f"""
    CREATE TEMP TABLE waiting AS
    SELECT
        d.n, d.receiver, d.alert_id, d.number, d.state, d.next_at, d.in_doubt, o.rule, o.transition, o.level,
        min(CASE WHEN d.{_OPEN} OR d.state IN ('done', 'summarised') THEN o.level END) OVER (
            PARTITION BY d.receiver, d.alert_id ORDER BY d.number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS told
    FROM deliveries AS d
    JOIN (
        SELECT n, rule, transition, CASE severity WHEN 'info' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END AS level
        FROM outbox
    ) AS o ON o.n = d.outbox_n
    WHERE d.alert_id IN (SELECT alert_id FROM deliveries WHERE {_OPEN})
    """,  # noqa: S608 - a constant
    f"DELETE FROM waiting WHERE NOT {_OPEN}",  # noqa: S608
    # of updates that wait only the newest goes, and none before the end; a rise is no such update
    """
    UPDATE deliveries SET state = 'superseded', held_by = w.overtaken, error = NULL
    FROM (
        SELECT
            n, state = 'pending' AND NOT in_doubt AND transition = 'updated' AND told <= level AS replaceable,
            lead(transition || ' #' || number || ' overtook it') OVER (
                PARTITION BY receiver, alert_id ORDER BY number
            ) AS overtaken
        FROM waiting
    ) AS w
    WHERE w.n = deliveries.n AND w.replaceable AND w.overtaken IS NOT NULL
    """,
    "DELETE FROM waiting WHERE n IN (SELECT n FROM deliveries WHERE state = 'superseded')",
    # beginnings 0, 3, 5; rises 1, 4; heartbeats 2; resolves 6, 7, 8; updates 9, 10, 11. What a more important
    # one of its episode waits for is as important; what comes next there is ready, or waits for its time
    """
    UPDATE deliveries SET rank = w.rank, ready = w.ready
    FROM (
        SELECT
            n,
            min(CASE
                WHEN rule = 'heartbeat' THEN 2
                WHEN transition = 'resolved' THEN 6 + level
                WHEN transition = 'fired' OR told IS NULL THEN 2 * level + (level > 0)
                WHEN level < told THEN 3 * level + 1
                ELSE 9 + level
            END) OVER (
                PARTITION BY receiver, alert_id ORDER BY number
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ) AS rank,
            CASE
                WHEN row_number() OVER (PARTITION BY receiver, alert_id ORDER BY number) > 1 THEN 0
                WHEN state = 'pending' AND next_at > 0 THEN 2
                ELSE 1
            END AS ready
        FROM waiting
    ) AS w
    WHERE w.n = deliveries.n
    """,
    "DROP TABLE waiting",
    "CREATE INDEX deliveries_tried ON deliveries (tried_at)",
    "CREATE INDEX deliveries_pending ON deliveries (receiver, ready, rank, n) WHERE state = 'pending'",
    "CREATE INDEX deliveries_deferred ON deliveries (receiver, next_at) "
    "WHERE state = 'pending' AND ready = 2",
    f"CREATE INDEX deliveries_open ON deliveries (receiver, alert_id, number) WHERE {_OPEN}",
    "CREATE INDEX deliveries_trying ON deliveries (receiver) WHERE state = 'trying'",
    "CREATE INDEX deliveries_parked ON deliveries (receiver, error) WHERE state = 'parked'",
    "CREATE INDEX outbox_unrouted_by_importance ON outbox (severity, transition, n) WHERE routed = 0",
    "DROP INDEX deliveries_due",
)


def _to_8(connection: Connection) -> None:
    """Deliveries by importance, what receivers answered, how far alerts were behind, logs that have ended."""
    for table, column in (
        ("tasks", "ended_at FLOAT"),
        ("tasks", "ended_why TEXT"),
        ("outbox", "behind_s FLOAT"),
        ("deliveries", "rank INTEGER NOT NULL DEFAULT 0"),
        ("deliveries", "ready INTEGER NOT NULL DEFAULT 1"),
        ("deliveries", "answer TEXT"),
        ("silences", "ended_by TEXT"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    connection.exec_driver_sql("DROP INDEX silences_by_end")
    connection.exec_driver_sql("CREATE INDEX silences_by_end ON silences (ends_at) WHERE ended_at IS NULL")
    for statement in _ORDER_DELIVERIES:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(
        "CREATE TABLE receiver_holds (receiver TEXT NOT NULL, rank INTEGER NOT NULL, "
        "held_by TEXT NOT NULL, PRIMARY KEY (receiver, rank))"
    )


def _add_bases(connection: Connection) -> None:
    """Checkpoints that are changes on top of others; those that are there already need no other."""
    for column in ("base TEXT", "base_sha256 TEXT", "base_seq BIGINT"):
        default = "0" if column.startswith("base_seq") else "''"
        connection.exec_driver_sql(f"ALTER TABLE checkpoints ADD COLUMN {column} NOT NULL DEFAULT {default}")


def _to_9(connection: Connection) -> None:
    """What pruning goes by, and what a log's beginning anew must not send again.

    The age of dead letters that are there already counts from now.
    """
    for table, column in (
        ("configs", "unused_since FLOAT"),
        ("tasks", "settled BIGINT NOT NULL DEFAULT 0"),
        ("tasks", "doubtful BIGINT NOT NULL DEFAULT 0"),
        ("tasks", "doubtful_since FLOAT"),
        ("outbox", "doubtful_since FLOAT"),
        ("dead_letters", "created_at FLOAT NOT NULL DEFAULT 0"),
        ("dead_letter_floods", "written_at FLOAT NOT NULL DEFAULT 0"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    connection.exec_driver_sql("UPDATE dead_letters SET created_at = strftime('%s', 'now') * 1.0")
    connection.exec_driver_sql("UPDATE dead_letter_floods SET written_at = strftime('%s', 'now') * 1.0")
    connection.exec_driver_sql("CREATE INDEX outbox_by_age ON outbox (created_at)")
    connection.exec_driver_sql("CREATE INDEX outbox_untold ON outbox (task_id, alert_id) WHERE routed > 1")
    connection.exec_driver_sql("CREATE INDEX dead_letters_by_age ON dead_letters (created_at, size)")
    _add_bases(connection)


_JOIN_LOGS = (
    "CREATE TABLE members (task_id BIGINT NOT NULL, place INTEGER NOT NULL, topic TEXT NOT NULL, "
    "incarnation TEXT NOT NULL, partition INTEGER NOT NULL, position BIGINT NOT NULL, "
    "settled BIGINT DEFAULT '0' NOT NULL, doubtful BIGINT DEFAULT '0' NOT NULL, gone_at FLOAT, "
    "PRIMARY KEY (task_id, place), FOREIGN KEY(task_id) REFERENCES tasks (id))",
    "CREATE INDEX members_by_partition ON members (topic, partition)",
    "INSERT INTO members (task_id, place, topic, incarnation, partition, position, settled, doubtful) "
    "SELECT id, 0, topic, incarnation, partition, position, settled, doubtful FROM tasks",
    *(f"ALTER TABLE tasks DROP COLUMN {column}" for column in ("position", "settled", "doubtful")),
    "ALTER TABLE checkpoints ADD COLUMN positions TEXT NOT NULL DEFAULT ''",
    "UPDATE checkpoints SET positions = '[' || position || ']'",
    "ALTER TABLE checkpoints DROP COLUMN position",
    "ALTER TABLE dead_letters RENAME TO old_dead_letters",
    "CREATE TABLE dead_letters (n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, task_id BIGINT NOT NULL, "
    "topic TEXT NOT NULL, partition INTEGER NOT NULL, member INTEGER DEFAULT '0' NOT NULL, "
    '"offset" BIGINT NOT NULL, index_ INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, '
    "value BLOB, truncated INTEGER DEFAULT '0' NOT NULL, size BIGINT NOT NULL, record_ts BIGINT, "
    "minute BIGINT, replayed_at FLOAT, last_offset BIGINT, created_at FLOAT DEFAULT '0' NOT NULL, "
    'UNIQUE (task_id, member, "offset", index_, reason), FOREIGN KEY(task_id) REFERENCES tasks (id))',
    'INSERT INTO dead_letters (n, task_id, topic, partition, member, "offset", index_, reason, detail, '
    "value, truncated, size, record_ts, minute, replayed_at, last_offset, created_at) "
    'SELECT n, task_id, topic, partition, 0, "offset", index_, reason, detail, value, '
    "truncated, size, record_ts, minute, replayed_at, last_offset, created_at FROM old_dead_letters",
    "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence WHERE name LIKE '%dead_letters') "
    "WHERE name = 'dead_letters'",
    "DROP TABLE old_dead_letters",
    "CREATE INDEX dead_letters_by_age ON dead_letters (created_at, size)",
    "ALTER TABLE dead_letter_floods RENAME TO old_floods",
    "CREATE TABLE dead_letter_floods (task_id BIGINT NOT NULL, reason TEXT NOT NULL, minute BIGINT NOT NULL, "
    "first_member INTEGER NOT NULL, first_offset BIGINT NOT NULL, last_member INTEGER NOT NULL, "
    "last_offset BIGINT NOT NULL, count BIGINT NOT NULL, written_at FLOAT DEFAULT '0' NOT NULL, "
    "PRIMARY KEY (task_id, reason, minute, first_member, first_offset), "
    "FOREIGN KEY(task_id) REFERENCES tasks (id))",
    "INSERT INTO dead_letter_floods (task_id, reason, minute, first_member, first_offset, last_member, "
    "last_offset, count, written_at) "
    "SELECT task_id, reason, minute, 0, first_offset, 0, last_offset, count, written_at FROM old_floods",
    "DROP TABLE old_floods",
)


def _to_10(connection: Connection) -> None:
    """Logs of several members; dead letters and floods are keyed by them."""
    for statement in _JOIN_LOGS:
        connection.exec_driver_sql(statement)


MIGRATIONS: Mapping[int, Migration] = MappingProxyType(
    {1: _to_2, 2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6, 6: _to_7, 7: _to_8, 8: _to_9, 9: _to_10}
)
"""By version: the step from a store of that version to the next."""

_VERSION_KEY = "schema_version"


def migrate(
    connection: Connection,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
) -> None:
    """Create the tables of a new store, or take every step from the store's version to `target`.

    Parameters
    ----------
    connection
        Inside a write transaction, so that a failed step leaves the store as it was.
    migrations
        The steps, by the version they start from.
    target
        The version to reach.

    Raises
    ------
    TapewatchError
        When the database is no store, or was written by a newer version.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        metadata.create_all(connection)
        connection.execute(meta.insert().values(key=_VERSION_KEY, value=str(target)))
        return
    version = _version(connection) if meta.name in tables else None
    if version is None:
        raise UsageError(OF_ANOTHER_PROGRAM)
    if version > target:
        raise TapewatchError(
            f"it has version {version} and this tapewatch knows versions up to {target}; "
            "install the newer tapewatch that wrote it, or name another file in `store`"
        )
    for step in range(version, target):
        migrations[step](connection)
    if version < target:
        connection.execute(update(meta).where(meta.c.key == _VERSION_KEY).values(value=str(target)))


def is_older(connection: Connection) -> bool:
    """True for a store that `migrate` would bring up to date: one of an older version, not a new one."""
    version = _version(connection) if meta.name in inspect(connection).get_table_names() else None
    return version is not None and version < SCHEMA_VERSION


def _version(connection: Connection) -> int | None:
    columns = {column["name"] for column in inspect(connection).get_columns(meta.name)}
    if columns != {"key", "value"}:
        return None
    text = connection.execute(select(meta.c.value).where(meta.c.key == _VERSION_KEY)).scalar()
    return int(text) if text is not None and text.isdigit() else None
