"""Receivers whose newest delivery was refused for good: what follows will hardly get through either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from streamer.store.database import Database
from streamer.store.parked_deliveries import ParkedGroup, newest_is_parked, parked_text

_ENDS: Final = ("delivered", "parked")


class Refusals:
    """Knows what became of the newest delivery to each receiver.

    Parameters
    ----------
    database
        The open store, which is asked once for each receiver that has refused something.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest: dict[str, str] = {}

    def note(self, receiver: str, outcome: str) -> None:
        """A delivery had this outcome; from any thread."""
        if outcome in _ENDS:
            self._newest[receiver] = outcome

    def causes(self, parked: Sequence[ParkedGroup]) -> Iterator[str]:
        """The receivers whose newest delivery is among these parked ones.

        Raises
        ------
        StoreError
            When the store does not answer.
        """
        for receiver in dict.fromkeys(group.receiver for group in parked):
            if receiver not in self._newest:
                is_parked = newest_is_parked(self._database, receiver)
                self._newest.setdefault(receiver, "parked" if is_parked else "delivered")
            if self._newest[receiver] == "parked":
                groups = [group for group in parked if group.receiver == receiver]
                codes = ", ".join(group.code for group in groups)
                yield f"{receiver} refuses what is sent to it: {parked_text(groups)} ({codes})"
