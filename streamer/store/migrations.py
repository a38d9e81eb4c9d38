"""Brings a store of an older version up to this one's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, inspect, select, update

from streamer.errors import TapewatchError
from streamer.store.tables import SCHEMA_VERSION, meta, metadata

Migration = Callable[[Connection], None]


def _to_2(connection: Connection) -> None:
    """Mutes, and deliveries that are held back; as statements, since tables move on and steps do not."""
    connection.exec_driver_sql("ALTER TABLE deliveries ADD COLUMN held_by TEXT")
    connection.exec_driver_sql("CREATE INDEX deliveries_outbox ON deliveries (outbox_n)")
    connection.exec_driver_sql(
        "CREATE TABLE mutes (rule TEXT NOT NULL PRIMARY KEY, until_at FLOAT NOT NULL, "
        "created_at FLOAT NOT NULL)"
    )


def _to_3(connection: Connection) -> None:
    """Dead letters that were put back into their topics."""
    connection.exec_driver_sql("ALTER TABLE dead_letters ADD COLUMN replayed_at FLOAT")


def _to_4(connection: Connection) -> None:
    """Near misses that are not kept for ever; those that are there count from now on."""
    connection.exec_driver_sql("ALTER TABLE decisions ADD COLUMN created_at FLOAT")
    connection.exec_driver_sql(
        "UPDATE decisions SET created_at = strftime('%s', 'now') * 1.0 WHERE kind = 'near_miss'"
    )
    for name, column in (("decisions_near_misses", "n"), ("decisions_near_misses_by_age", "created_at")):
        connection.exec_driver_sql(f"CREATE INDEX {name} ON decisions ({column}) WHERE kind = 'near_miss'")


MIGRATIONS: Mapping[int, Migration] = MappingProxyType({1: _to_2, 2: _to_3, 3: _to_4})
"""By version: what turns a store of that version into one of the next."""

_VERSION_KEY = "schema_version"


def migrate(
    connection: Connection,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
) -> None:
    """Make the tables where there are none, else take every step from the store's version to `target`.

    Parameters
    ----------
    connection
        Inside a write transaction, so that a failed step leaves the store as it was.
    migrations
        The steps, by the version they start from.
    target
        The version to arrive at.

    Raises
    ------
    TapewatchError
        When the store belongs to something else, or was written by a newer version.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        metadata.create_all(connection)
        connection.execute(meta.insert().values(key=_VERSION_KEY, value=str(target)))
        return
    version = _version(connection) if meta.name in tables else None
    if version is None:
        raise TapewatchError("it is a database of something else; name another file in `store`")
    if version > target:
        raise TapewatchError(
            f"it has version {version} and this tapewatch knows versions up to {target}; "
            "install the newer tapewatch that wrote it, or name another file in `store`"
        )
    for step in range(version, target):
        migrations[step](connection)
    if version < target:
        connection.execute(update(meta).where(meta.c.key == _VERSION_KEY).values(value=str(target)))


def _version(connection: Connection) -> int | None:
    columns = {column["name"] for column in inspect(connection).get_columns(meta.name)}
    if columns != {"key", "value"}:
        return None
    text = connection.execute(select(meta.c.value).where(meta.c.key == _VERSION_KEY)).scalar()
    return int(text) if text is not None and text.isdigit() else None
