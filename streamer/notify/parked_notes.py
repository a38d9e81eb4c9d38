"""Tells readers of messages that do get through what could not be delivered elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from alerts.receivers.kind import retry_command
from alerts.receivers.receiver import Delivery, reason_code
from alerts.service_alert import HEARTBEAT
from streamer.store.database import Database
from streamer.store.parked_deliveries import ParkedGroup, parked_groups

_FRESH_S = 5.0  # another process may retry what is parked; what this one parks is noticed at once
_MOST_GROUPS = 3  # named in one note
_LONG_S = 300.0  # nothing got through for so long: then it is worth telling
_NEEDS_SOMEBODY = frozenset({"certificate verify failed", "tls"})  # told at once: it seldom passes by itself


@dataclass(frozen=True, slots=True)
class ParkedNote:
    """A note for one message.

    Parameters
    ----------
    text
        For its reader; empty where there is nothing new.
    receiver
        Who gets the message.
    groups
        What it tells, with the counts.
    before
        The counts that were told before.
    """

    text: str = ""
    receiver: str = ""
    groups: Mapping[tuple[str, str], int] = field(default_factory=dict)
    before: Mapping[tuple[str, str], int] = field(default_factory=dict)


class ParkedNotes:
    """What is parked, told once to the readers of each receiver.

    The first new message that gets through at a receiver carries the note (not an edit, which notifies
    nobody, nor a heartbeat, whose own text says it). It also names other receivers that nothing gets through
    to. It is told there again only when twice as many are parked for the same reason, or after they were
    retried and refused again; and once after a start. The store is asked at most every few seconds, and
    after this process parked something.

    Parameters
    ----------
    database
        The open store.
    monotonic
        Monotonic seconds.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._receivers: tuple[str, ...] = ()
        self._groups: Sequence[ParkedGroup] = ()
        self._asked_at: float | None = None
        self._parking = 0
        self._told: dict[str, dict[tuple[str, str], int]] = {}
        self._failing: dict[str, tuple[float, str]] = {}

    def watch(self, receivers: Sequence[str]) -> None:
        """Look at these receivers from now on."""
        with self._lock:
            self._receivers = tuple(receivers)
            self._asked_at = None

    @contextmanager
    def parking(self) -> Iterator[None]:
        """Within it something is parked: what was asked before that is not relied on."""
        with self._lock:
            self._parking += 1
        try:
            yield
        finally:
            with self._lock:
                self._parking -= 1
                self._asked_at = None

    def failed(self, receiver: str, reason: str) -> None:
        """An attempt at a delivery there failed, and will be made again."""
        with self._lock:
            since, _ = self._failing.get(receiver, (self._monotonic(), ""))
            self._failing[receiver] = since, reason_code(reason)

    def failing(self) -> Mapping[str, str]:
        """Receivers that nothing gets through to, for minutes or until somebody does something, and why."""
        with self._lock:
            return self._failing_now()

    def groups(self) -> Sequence[ParkedGroup]:
        """What is parked, as of a few seconds ago at most."""
        with self._lock:
            return self._fresh()

    def note_for(self, delivery: Delivery) -> ParkedNote:
        """The note that a message is to carry; no other message there carries it while this is on its way."""
        if delivery.number or json.loads(delivery.body)["rule"] == HEARTBEAT:
            return ParkedNote(receiver=delivery.receiver)
        with self._lock:
            told = self._told.get(delivery.receiver, {})
            new = [
                group
                for group in self._fresh()
                if group.count >= 2 * told.get((group.receiver, group.code), 0)
            ]
            failing = {
                receiver: code
                for receiver, code in self._failing_now().items()
                if receiver != delivery.receiver and (receiver, code) not in told
            }
            counts = {(group.receiver, group.code): group.count for group in new}
            counts |= dict.fromkeys(failing.items(), 1)
            before = {key: told[key] for key in counts if key in told}
            self._told.setdefault(delivery.receiver, {}).update(counts)
        return ParkedNote(note_text(new, failing), delivery.receiver, counts, before)

    def told(self, note: ParkedNote) -> None:
        """A message with this note got through."""
        self.reached(note.receiver)

    def reached(self, receiver: str) -> None:
        """The receiver took one, or refused it for good: it can be reached."""
        with self._lock:
            self._failing.pop(receiver, None)

    def untold(self, note: ParkedNote) -> None:
        """It did not: the next message there carries the note."""
        with self._lock:
            told = self._told.get(note.receiver, {})
            for key in note.groups:
                told.pop(key, None)
            told.update(note.before)

    def _fresh(self) -> Sequence[ParkedGroup]:
        now = self._monotonic()
        if self._parking or self._asked_at is None or now - self._asked_at >= _FRESH_S:
            self._asked_at = now
            self._groups = parked_groups(self._database, self._receivers)
            present = {(group.receiver, group.code) for group in self._groups}
            present.update(self._failing_now().items())
            for told in self._told.values():
                for gone in told.keys() - present:
                    del told[gone]
        return self._groups

    def _failing_now(self) -> dict[str, str]:
        now = self._monotonic()
        return {
            receiver: code
            for receiver, (since, code) in self._failing.items()
            if receiver in self._receivers and (code in _NEEDS_SOMEBODY or now - since >= _LONG_S)
        }


def note_text(groups: Sequence[ParkedGroup], failing: Mapping[str, str] = MappingProxyType({})) -> str:
    """What could not be delivered, and what to type; empty where there is nothing to tell.

    Examples
    --------
    >>> note_text([ParkedGroup("desk", "http_400", 1)])
    '1 alert could not be delivered to desk (http_400): tapewatch alerts --retry-parked desk'
    """
    parts = [
        f"{group.shown} alert{'' if group.count == 1 else 's'} could not be delivered to "
        f"{group.receiver} ({group.code}): {retry_command(group.receiver)}"
        for group in groups
    ]
    parts += [f"nothing gets through to {name} ({code}): tapewatch alerts" for name, code in failing.items()]
    more = len(parts) - _MOST_GROUPS
    return "; ".join([*parts[:_MOST_GROUPS], f"and {more} more"] if more > 0 else parts)
