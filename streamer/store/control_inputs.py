"""Control inputs in the store: which detectors are quarantined as a whole, and which of them were lifted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from sqlalchemy import Connection, func, select

from streamer.messages.control_inputs import ControlInput, ControlKind
from streamer.store.database import Database, insert_absent
from streamer.store.tables import control_inputs

SPECIFICATION_CHANGED = "its specification has changed"


@dataclass(frozen=True, slots=True)
class ControlOrder:
    """A control input that is to be added.

    Parameters
    ----------
    kind, detector
        See `ControlInput`.
    key
        What gives rise to it: the same cause gives the same key.
    version, reason
        See `ControlInput`.
    author
        Who asked for it; empty for the service itself.
    """

    kind: ControlKind
    detector: str
    key: str
    version: str = ""
    reason: str = ""
    author: str = ""


def add_control_input(connection: Connection, order: ControlOrder, now: float) -> bool:
    """Add one unless there is one of that key; a running daemon's logs journal it within a second or two.

    Parameters
    ----------
    connection
        A write transaction.
    order
        What to add.
    now
        Wall-clock seconds.

    Returns
    -------
    bool
        True when it is new.
    """
    return insert_absent(connection, control_inputs, [{**asdict(order), "created_at": now}]) == 1


class StoreControls:
    """The control inputs of a store, as of the last `refresh`.

    Parameters
    ----------
    database
        The open store.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> store = StoreControls(open_store(MEMORY))
    >>> store.add(ControlOrder("quarantine", "tape", "hang 1", "5f1c", "it never returned"), now=1.0)
    >>> store.refresh()
    >>> store.newest, [each.kind for each in store.last_of_each()]
    (1, ['quarantine'])
    >>> store.lift("tape", author="ann", now=2.0)
    True
    >>> store.lift("tape", author="ann", now=3.0)
    False
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: tuple[ControlInput, ...] = ()
        self.newest = 0
        """The number of the newest one, 0 for none."""

    def refresh(self) -> None:
        """Look for new ones."""
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(control_inputs.c.n))).scalar() or 0
            if newest != self.newest:
                self._last = _last_of_each(connection)
                self.newest = int(newest)

    def last_of_each(self) -> Sequence[ControlInput]:
        """The last one of each detector, in order."""
        return self._last

    def quarantined(self) -> Mapping[str, ControlInput]:
        """The detectors that are quarantined as a whole, by name, as the store has it now."""
        with self._database.read() as connection:
            last = _last_of_each(connection)
        return {each.detector: each for each in last if each.kind == "quarantine"}

    def add(self, order: ControlOrder, now: float) -> None:
        """Add one unless there is one of its key."""
        with self._database.write() as connection:
            add_control_input(connection, order, now)

    def lift(self, detector: str, *, author: str, now: float) -> bool:
        """Lift a detector's quarantine; False where it is not quarantined as a whole."""
        with self._database.write() as connection:
            found = [each for each in _last_of_each(connection) if each.detector == detector]
            if not found or found[0].kind != "quarantine":
                return False
            return _lift(connection, found[0], author, "lifted", now)

    def settle(self, versions: Mapping[str, str], now: float) -> list[str]:
        """Lift the quarantine of detectors whose specification has changed; returns their names.

        Parameters
        ----------
        versions
            The versions of the detectors at work, by name; one that is not among them is left as it is.
        now
            Wall-clock seconds.
        """
        with self._database.write() as connection:
            lifted = [
                each
                for each in _last_of_each(connection)
                if each.kind == "quarantine" and versions.get(each.detector, each.version) != each.version
            ]
            for each in lifted:
                _lift(connection, each, "", SPECIFICATION_CHANGED, now)
        return [each.detector for each in lifted]


def _lift(connection: Connection, quarantine: ControlInput, author: str, reason: str, now: float) -> bool:
    key = f"lift of {quarantine.number}"
    order = ControlOrder("lift", quarantine.detector, key, reason=reason, author=author)
    return add_control_input(connection, order, now)


def _last_of_each(connection: Connection) -> tuple[ControlInput, ...]:
    c = control_inputs.c
    newest = select(func.max(c.n)).group_by(c.detector)
    rows = connection.execute(
        select(c.n, c.kind, c.detector, c.version, c.reason).where(c.n.in_(newest)).order_by(c.n)
    )
    return tuple(_inputs(rows.mappings()))


def _inputs(rows: Iterable[Mapping[Any, Any]]) -> Iterable[ControlInput]:
    for row in rows:
        kind = cast(ControlKind, row["kind"])
        yield ControlInput(row["n"], kind, row["detector"], row["version"], row["reason"])
