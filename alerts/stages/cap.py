"""A receiver's cap: what its minute is spent on, by importance, and what stands for the rest."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from alerts.service_alert import DELIVERY_SUMMARY
from alerts.stages.ended import EndsThatWait
from alerts.stages.importance import (
    BEGINNINGS,
    CRITICAL,
    CRITICALS_SUMMARY,
    ENDED_LIST,
    ENDS,
    LATE,
    SERVICE_NEWS,
)
from alerts.stages.spending import (
    EDIT_COUNTED,
    EDIT_RANKS,
    CriticalBudget,
    CriticalPlan,
    message_ranks,
)
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Verdict
from alerts.stages.summary import SummaryHeading, replaceable, summaries
from alerts.stages.view import SUMMARISED, StageView, WaitingDelivery

OFF = "off"
MINUTE_S = 60.0

_JOINED_AT_MOST = 50_000  # deliveries; the rest wait for the next summary
_CRITICALS_AT_ONCE = 500  # that a plan looks at, and a summary names; the next follows soon
_NEWEST_CRITICALS = 50  # looked at beside those: what is rare goes by itself, whatever waits before it
_JOINED_AT_LEAST = 2  # a single delivery is sent itself
_KEPT_FOR_ENDS = 5  # of so many places one is for ends that have waited a window
_SOON = 1 / 60  # of the window: what gives way to an end is asked again then
_NEVER_HELD = (SERVICE_NEWS, ENDED_LIST)
_PATTERN = re.compile(r"([1-9][0-9]{0,4})/m")


def cap_per_minute(text: str) -> int | None:
    """Messages a minute, None for no cap.

    Raises
    ------
    ValueError
        When it is neither ``off`` nor a number a minute.

    Examples
    --------
    >>> cap_per_minute("20/m"), cap_per_minute("off")
    (20, None)
    >>> cap_per_minute("20/h")
    Traceback (most recent call last):
        ...
    ValueError: '20/h' is neither off nor messages a minute, such as 20/m
    """
    if text == OFF:
        return None
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither off nor messages a minute, such as 20/m")
    return int(found[1])


def _check(text: str) -> str:
    cap_per_minute(text)
    return text


CapText = Annotated[str, AfterValidator(_check)]
"""A cap as the configuration writes it."""


class CapStage(Stage):
    """Holds what is more than a receiver takes in a minute, by importance, and joins what waits too long.

    * Criticals that begin, and rises to critical, do not count against the cap; see
      `alerts.stages.spending.CriticalBudget`. A summary names those beyond that budget, and is never held.
    * All other messages count against the cap. When several wait and there was no summary of them in the last
      window, the next message is a summary that replaces them.
    * Ends that have waited for a window get a place, or one message that names each, where they cannot be
      edits.
    * Edits have a budget of their own at receivers that can edit.
    * Heartbeats, summaries and digests are never held.

    Parameters
    ----------
    caps
        Messages a window by receiver; None, or a receiver that is not named, has no cap, and nothing there
        is held or joined.
    edits
        Edits a window by receiver; one that is not named cannot edit, and gets messages instead.
    window_s
        The window's length in seconds.
    """

    name = "cap"
    phase = "claim"

    def __init__(
        self,
        caps: Mapping[str, int | None],
        window_s: float = MINUTE_S,
        edits: Mapping[str, int] | None = None,
    ) -> None:
        self._caps = dict(caps)
        self._edits = dict(edits or {})
        self._window_s = window_s

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Hold what has no place in the window."""
        cap = self._caps.get(receiver)
        if cap is None:
            return Pass("no cap")
        rank = transition.rank
        if rank in CRITICAL:
            return self._critical(transition, receiver, cap, now, view)
        if rank in EDIT_RANKS and receiver in self._edits:
            most = self._edits[receiver]
            free_at = self._free_at(most, EDIT_COUNTED, receiver, now, view)
            if free_at is None:
                return Pass(f"within {most} edits a minute")
            return HoldUntil(f"{most} edits a minute were made, it waits for the next", free_at, True)
        if rank in _NEVER_HELD or rank not in self._messages(receiver):
            return Pass("it is never held")
        free_at = self._place_at(cap, receiver, now, view)
        if free_at is None and rank in BEGINNINGS:
            free_at = self._kept_for_ends(cap, receiver, now, view)
        if free_at is None and self._next_is_an_end(rank, cap, receiver, now, view):
            until = now + self._window_s * _SOON
            return HoldUntil("an end that has waited for a minute is next", until, True)
        if free_at is None:
            return Pass(f"within {cap} messages a minute")
        return HoldUntil(f"{cap} messages a minute were sent, it waits for the next place", free_at, True)

    def first(self, receiver: str, now: float, view: StageView) -> Sequence[WaitingDelivery]:
        """Criticals that have room, each instrument's first before any instrument's second."""
        cap = self._caps.get(receiver)
        own = () if cap is None else self._plan(receiver, cap, now, view).own
        # a summary stands for several that have waited
        return (*view.waiting(receiver, len(own), ranks=(CRITICALS_SUMMARY,)), *own) if own else ()

    def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        """Summaries of the criticals beyond their budget, or of what the cap has held."""
        cap = self._caps.get(receiver)
        if cap is None:
            return ()
        plan = self._plan(receiver, cap, now, view)
        if plan.overflow and plan.until is None:
            return self._of_criticals(plan.overflow, receiver, now, view)
        if self._place_at(cap, receiver, now, view) is not None:
            return ()
        if receiver not in self._edits and (
            ended := EndsThatWait(receiver, cap, self._window_s).joined(now, view)
        ):
            return ended
        if self._next_is_an_end(SERVICE_NEWS, cap, receiver, now, view):
            return ()
        joined_at = view.joined_at(receiver, SERVICE_NEWS)
        if joined_at is not None and joined_at > now - self._window_s:
            return ()
        if not set(view.held(receiver, self.name)) & set(self._messages(receiver)):
            return ()
        return self._of_messages(cap, receiver, now, view)

    def _critical(
        self, transition: AlertTransition, receiver: str, cap: int, now: float, view: StageView
    ) -> Verdict:
        plan = self._plan(receiver, cap, now, view)
        key = transition.alert_id, transition.number
        beyond = [each for each in plan.overflow if (each.alert_id, each.number) == key]
        if not beyond:
            return Pass("critical")
        budget = CriticalBudget(cap, self._window_s)
        if plan.until is None and beyond[0].since <= now - budget.longest_s:
            return Pass("critical, and no summary has named it")
        until = plan.until or now + budget.pace_s
        return HoldUntil("more criticals than are sent one by one, a summary names it", until, True)

    def _plan(self, receiver: str, cap: int, now: float, view: StageView) -> CriticalPlan:
        waiting = view.waiting(receiver, _CRITICALS_AT_ONCE, ranks=CRITICAL)
        if not waiting:
            return CriticalPlan((), (), None)
        if len(waiting) > _NEWEST_CRITICALS:
            newest = view.waiting(receiver, _NEWEST_CRITICALS, ranks=CRITICAL, newest=True)
            waiting = [*waiting, *(each for each in newest if each.n > waiting[-1].n)]
        sent = view.sent_since(receiver, now - self._window_s, CRITICAL)
        joined_at = view.joined_at(receiver, CRITICALS_SUMMARY)
        return CriticalBudget(cap, self._window_s).plan(waiting, sent, joined_at, now)

    def _of_criticals(
        self, overflow: Sequence[WaitingDelivery], receiver: str, now: float, view: StageView
    ) -> Sequence[Joined]:
        episodes = {each.alert_id for each in overflow}
        members = replaceable(view.waiting(receiver, _JOINED_AT_MOST, episodes=episodes, bodies=True))
        if len({each.alert_id for each in members}) < _JOINED_AT_LEAST:
            return ()
        heading = SummaryHeading(
            DELIVERY_SUMMARY,
            receiver,
            lambda count: f"{count:,} critical, more than go out one by one",
            counts_named=True,
        )
        return _joined(heading, members, CRITICALS_SUMMARY, now)

    def _of_messages(self, cap: int, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        waiting = view.waiting(receiver, _JOINED_AT_MOST, bodies=True)
        by_itself = {each.alert_id for each in waiting if each.rank in CRITICAL}

        def stays(each: WaitingDelivery) -> bool:
            is_edit = receiver in self._edits and each.heard
            return each.rank >= LATE or is_edit or each.alert_id in by_itself

        members = replaceable(waiting, stays)
        if len(members) < _JOINED_AT_LEAST:
            return ()
        heading = SummaryHeading(
            DELIVERY_SUMMARY,
            receiver,
            lambda count: f"{count:,} more than {receiver} takes at {cap} messages a minute",
        )
        return _joined(heading, members, SERVICE_NEWS, now)

    def _messages(self, receiver: str) -> tuple[int, ...]:
        return message_ranks(receiver in self._edits)

    def _place_at(self, cap: int, receiver: str, now: float, view: StageView) -> float | None:
        """When one more message may be sent; None for now. A summary that waits has a place already."""
        ranks = self._messages(receiver)
        free_at = self._free_at(cap - 1, ranks, receiver, now, view)
        if free_at is None:
            return None
        waiting = view.waiting(receiver, cap, ranks=_NEVER_HELD)
        owed = sum(each.rule == DELIVERY_SUMMARY and not each.in_doubt for each in waiting)
        return self._free_at(cap - owed, ranks, receiver, now, view)

    def _next_is_an_end(self, rank: int, cap: int, receiver: str, now: float, view: StageView) -> bool:
        ends = EndsThatWait(receiver, cap, self._window_s)
        return receiver not in self._edits and ends.hold_others(rank, now, view)

    def _kept_for_ends(self, cap: int, receiver: str, now: float, view: StageView) -> float | None:
        """When a beginning may be sent, if ends that have waited a window have some of its places."""
        kept = cap // _KEPT_FOR_ENDS
        if receiver in self._edits or not kept:
            return None
        free_at = self._free_at(cap - kept, BEGINNINGS, receiver, now, view)
        if free_at is None:
            return None
        ends = view.waiting(receiver, 1, ranks=ENDS)
        return free_at if ends and ends[0].since <= now - self._window_s else None

    def _free_at(
        self, most: int, ranks: Collection[int], receiver: str, now: float, view: StageView
    ) -> float | None:
        """When one more of these may be sent; None for now."""
        window_s = self._window_s
        sent = view.sent_since(receiver, now - window_s, ranks)
        if len(sent) < most:
            return None
        free_at = sent[len(sent) - most].at + window_s if most > 0 else now + window_s
        return free_at if free_at > now else None


def _joined(
    heading: SummaryHeading, members: Sequence[WaitingDelivery], rank: int, now: float
) -> Sequence[Joined]:
    return [
        Joined(part.alert, part.members, SUMMARISED, f"{part.alert.id}-{part.alert.number}", rank)
        for part in summaries(heading, members, now)
    ]
