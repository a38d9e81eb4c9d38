"""Which Kafka cluster the logs of a store are of, kept in `meta`."""

from __future__ import annotations

from sqlalchemy import select

from streamer.store.commits import upsert
from streamer.store.database import Database
from streamer.store.tables import meta

_KEY = "kafka_cluster"


def cluster_of(database: Database) -> str:
    """The id of the cluster, empty where it is not known yet.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> store = open_store(MEMORY)
    >>> cluster_of(store)
    ''
    >>> keep_cluster(store, "a1")
    >>> cluster_of(store)
    'a1'
    >>> store.close()
    """
    with database.read() as connection:
        return connection.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar() or ""


def keep_cluster(database: Database, cluster: str) -> None:
    """Keep the id of the cluster."""
    with database.write() as connection:
        upsert(connection, meta, {"key": _KEY, "value": cluster})
