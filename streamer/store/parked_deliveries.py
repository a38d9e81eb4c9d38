"""What is parked, counted by receiver and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select

from alerts.receivers.receiver import reason_code
from streamer.store.database import Database
from streamer.store.delivery_rows import DONE, PARKED, in_state
from streamer.store.tables import deliveries

MOST_COUNTED = 1_000
"""Deliveries of one receiver that are looked at, so that asking costs the same whatever is parked."""


@dataclass(frozen=True, slots=True)
class ParkedGroup:
    """Deliveries that one receiver has refused for one reason.

    Parameters
    ----------
    receiver
        Its name.
    code
        What the reason begins with, such as ``http_400``.
    count
        How many there are; at `MOST_COUNTED` there may be more.
    """

    receiver: str
    code: str
    count: int

    @property
    def shown(self) -> str:
        """The count for people.

        Examples
        --------
        >>> ParkedGroup("desk", "http_400", 12).shown, ParkedGroup("desk", "http_400", 1_000).shown
        ('12', '1000 or more')
        """
        return f"{self.count} or more" if self.count >= MOST_COUNTED else str(self.count)


def parked_groups(database: Database, receivers: Sequence[str]) -> list[ParkedGroup]:
    """What is parked at these receivers, in their order, the most frequent reason of each first."""
    c, groups = deliveries.c, []
    with database.read() as connection:
        for receiver in receivers:
            query = select(c.error).where(c.receiver == receiver, in_state(PARKED)).limit(MOST_COUNTED)
            codes = Counter(reason_code(error or "") for error in connection.scalars(query))
            groups += [
                ParkedGroup(receiver, code, count)
                for code, count in sorted(codes.items(), key=lambda each: (-each[1], each[0]))
            ]
    return groups


def parked_text(groups: Sequence[ParkedGroup]) -> str:
    """How many deliveries are parked, for people; empty where none is.

    Examples
    --------
    >>> parked_text([ParkedGroup("desk", "http_400", 1)])
    '1 delivery parked'
    >>> parked_text([ParkedGroup("desk", "http_400", 1_000), ParkedGroup("ops", "http_404", 2)])
    '1,002 or more deliveries parked'
    """
    count = sum(group.count for group in groups)
    if not count:
        return ""
    more = " or more" if any(group.count >= MOST_COUNTED for group in groups) else ""
    return f"{count:,}{more} {'delivery' if count == 1 else 'deliveries'} parked"


def newest_is_parked(database: Database, receiver: str) -> bool:
    """Whether nothing has been delivered to a receiver since it last refused something for good.

    Raises
    ------
    StoreError
        When the store does not answer.
    """
    c = deliveries.c
    refused = select(func.max(c.tried_at)).where(c.receiver == receiver, in_state(PARKED))
    with database.read() as connection:
        at = connection.execute(refused).scalar()
        if at is None:
            return False
        later = exists().where(c.receiver == receiver, in_state(DONE), c.tried_at > at)
        return not connection.execute(select(later)).scalar()
