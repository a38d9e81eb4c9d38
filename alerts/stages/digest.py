"""Digests: what is late is told together, one message a minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerts.service_alert import DELIVERY_DIGEST
from alerts.stages.importance import BEGINNINGS, CRITICAL, ENDS, LATE, LATE_DIGEST, UPDATES
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Verdict
from alerts.stages.summary import SummaryHeading, replaceable, summaries
from alerts.stages.view import DIGESTED, StageView, WaitingDelivery

_JOINED_AT_MOST = 50_000  # deliveries; the rest wait for the next digest
_JOINED_AT_LEAST = 2  # a single delivery is sent itself
_GATHERED = 1 / 12  # of the window: 5 s of a minute, in which the first digest gathers what comes with it

_LATE_NEWS = tuple(LATE + rank for rank in (*CRITICAL, *BEGINNINGS))
_LATE_ENDS = tuple(LATE + rank for rank in ENDS)
_LATE_UPDATES = tuple(LATE + rank for rank in UPDATES)


class DigestStage(Stage):
    """Joins what is late: one message a receiver and window, in which each critical is named.

    Late alerts are old, and there may be thousands of them. A single one is sent itself. The end of an
    episode that the receiver knows of is sent itself, and so is an update where it edits a message.

    Parameters
    ----------
    caps
        Messages a window by receiver; one without a cap gets everything by itself.
    edits
        Receivers that can edit what they have sent.
    window_s
        Least time between two of these messages, in seconds.
    """

    name = "digest"
    phase = "claim"

    def __init__(
        self, caps: Mapping[str, int | None], window_s: float, edits: Mapping[str, int] | None = None
    ) -> None:
        self._caps = dict(caps)
        self._edits = dict(edits or {})
        self._window_s = window_s

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Hold what is late until the next message about that."""
        if transition.rank not in self._joined_ranks(receiver):
            return Pass("not late, or about what the receiver knows of")
        free_at = self._free_at(receiver, now, view)
        if free_at is None:
            return Pass("the only late one")
        return HoldUntil("late ones are told together, once a minute", free_at, True)

    def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        """A digest of all that is late, if it is time for one."""
        ranks = self._joined_ranks(receiver)
        if not ranks or self._free_at(receiver, now, view) is not None:
            return ()
        if len(view.waiting(receiver, _JOINED_AT_LEAST, ranks=ranks)) < _JOINED_AT_LEAST:
            return ()

        def stays(each: WaitingDelivery) -> bool:
            return each.rank < LATE or (
                receiver in self._edits and each.heard and each.rank not in _LATE_NEWS
            )

        members = replaceable(view.waiting(receiver, _JOINED_AT_MOST, bodies=True), stays)
        if len({each.alert_id for each in members}) < _JOINED_AT_LEAST:
            return ()
        heading = SummaryHeading(
            DELIVERY_DIGEST, receiver, lambda count: f"{count:,} late, told together", late=True
        )
        return [
            Joined(part.alert, part.members, DIGESTED, f"{part.alert.id}-{part.alert.number}", LATE_DIGEST)
            for part in summaries(heading, members, now)
        ]

    def _joined_ranks(self, receiver: str) -> tuple[int, ...]:
        if self._caps.get(receiver) is None:
            return ()
        return _LATE_NEWS if receiver in self._edits else (*_LATE_NEWS, *_LATE_UPDATES)

    def _free_at(self, receiver: str, now: float, view: StageView) -> float | None:
        """When the next message about late ones may be sent; None for now."""
        ranks = self._joined_ranks(receiver)
        sent = view.sent_since(receiver, now - self._window_s, (*ranks, LATE_DIGEST))
        joined_at = view.joined_at(receiver, LATE_DIGEST)
        waiting = view.waiting(receiver, 1, ranks=ranks)
        times = [each.at + self._window_s for each in sent[-1:]]
        times += [] if joined_at is None else [joined_at + self._window_s]
        times += [each.since + self._window_s * _GATHERED for each in waiting]
        free_at = max(times, default=now)
        return free_at if free_at > now else None
