"""The time that old rows were last judged by, kept in `meta`: a start holds its wall clock against it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import select

from streamer.store.commits import upsert
from streamer.store.database import Database
from streamer.store.tables import meta

_KEY = "kept_time"


@dataclass(frozen=True, slots=True)
class KeptTime:
    """What was believed of the wall clock.

    Parameters
    ----------
    believed
        Unix seconds that old rows were judged by.
    doubted_since
        Unix seconds of a wall clock that is not believed yet, when it was first seen; None if there is none.
    """

    believed: float
    doubted_since: float | None = None


def kept_time(database: Database) -> KeptTime | None:
    """What was kept last; None if nothing was.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> store = open_store(MEMORY)
    >>> keep_time(store, KeptTime(1_000.0))
    >>> kept_time(store)
    KeptTime(believed=1000.0, doubted_since=None)
    >>> store.close()
    """
    with database.read() as connection:
        text = connection.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar()
    with suppress(ValueError, TypeError):  # a text that nobody here wrote is as none
        believed, doubted_since = json.loads(text or "")
        return KeptTime(float(believed), None if doubted_since is None else float(doubted_since))
    return None


def keep_time(database: Database, time: KeptTime) -> None:
    """Keep what is believed now; not synced, since what was kept before does as well."""
    with database.write(synced=False) as connection:
        text = json.dumps([time.believed, time.doubted_since])
        upsert(connection, meta, {"key": _KEY, "value": text})
