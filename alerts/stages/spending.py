"""What a receiver's minute is spent on: criticals, other messages, edits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from alerts.stages.importance import (
    BEGINNINGS,
    ENDED_LIST,
    ENDS,
    LATE,
    RISE_TO_CRITICAL,
    RISE_TO_WARNING,
    SERVICE_NEWS,
    UPDATES,
)
from alerts.stages.view import Sent, WaitingDelivery

CRITICALS: Final = 30
"""Messages about criticals in a window, beside the cap; more where the cap is higher."""
EDITS: Final = 50
"""Edits in a window at Slack, whose limit is above 50 a minute (tier 3)."""

_LATE_KNOWN = tuple(LATE + rank for rank in (*ENDS, *UPDATES))
EDIT_RANKS: Final = (*ENDS, *UPDATES, *_LATE_KNOWN)
"""Ranks about an episode that the receiver knows of: edits, where it can edit, else messages."""

EDIT_COUNTED: Final = (RISE_TO_CRITICAL, RISE_TO_WARNING, *EDIT_RANKS)
"""Ranks that cost an edit: a rise of what is known edits its message, too."""

_RISES_PART = 3  # rises are at most a third of the criticals, so that new ones have room
_KEPT_FOR_RARE = 6  # further criticals, for rules that have had fewer than this
_PATIENCE = 1 / 12  # of the window: 5 s of a minute, after which waiting criticals are named in a summary
_PACE = 1 / 20  # of the window: 3 s of a minute between messages about criticals beyond those
_LONE = 2  # so many fresh criticals of rare rules are not drawn into the summary of a flood


def message_ranks(edits: bool) -> tuple[int, ...]:
    """The ranks of what counts against a cap.

    Parameters
    ----------
    edits
        Whether the receiver can edit its messages.

    Examples
    --------
    >>> message_ranks(True)
    (3, 4, 5, 12, 13)
    """
    ranks = (*BEGINNINGS, SERVICE_NEWS, ENDED_LIST)
    return ranks if edits else (*ranks, *EDIT_RANKS)


@dataclass(frozen=True, slots=True)
class CriticalPlan:
    """What becomes of the criticals that wait at a receiver.

    Parameters
    ----------
    own
        Those that go out now, each as a message of its own, in this order.
    overflow
        The others, which one summary names, or which wait until `until`.
    until
        When the next may be sent; None where the summary may be sent now.
    """

    own: Sequence[WaitingDelivery]
    overflow: Sequence[WaitingDelivery]
    until: float | None


class CriticalBudget:
    """How many criticals a receiver gets as messages of their own.

    Parameters
    ----------
    cap
        The receiver's messages in a window.
    window_s
        The window, in seconds.

    Examples
    --------
    >>> waiting = [WaitingDelivery(n, f"a{n}", 0, "fat_finger", "critical", "fired") for n in range(33)]
    >>> plan = CriticalBudget(20, 60.0).plan(waiting, [], None, now=1.0)
    >>> len(plan.own), len(plan.overflow), plan.until
    (30, 3, None)
    """

    def __init__(self, cap: int, window_s: float) -> None:
        self._limit = max(CRITICALS, cap)
        self._rises = self._limit // _RISES_PART
        self.patience_s = window_s * _PATIENCE
        """How long a critical waits before a summary names it, where others wait, too."""
        self.pace_s = window_s * _PACE
        """Least time between messages about criticals beyond the budget."""
        self.longest_s = 2 * (self.patience_s + self.pace_s)
        """How long one waits for a summary that could be sent, and is not; then it goes by itself."""

    def plan(
        self, waiting: Iterable[WaitingDelivery], sent: Sequence[Sent], joined_at: float | None, now: float
    ) -> CriticalPlan:
        """Divide what waits.

        Parameters
        ----------
        waiting
            All criticals that wait behind no other of their episode, oldest first; parked ones are left out.
        sent
            Criticals sent in the last window, oldest first.
        joined_at
            When the last summary of criticals was made, None for never.
        now
            Wall-clock seconds.
        """
        candidates = [each for each in waiting if not each.parked]
        told = _Told(sent)
        doubtful = [each for each in candidates if each.in_doubt]  # they may have arrived: only they can tell
        own = [each for each in doubtful if each.due]
        for each in doubtful:
            told.add(each.rank, each.rule, each.subject)
        joinable = [each for each in candidates if not each.in_doubt]
        beginnings = [each for each in joinable if each.rank != RISE_TO_CRITICAL]
        rises = [each for each in joinable if each.rank == RISE_TO_CRITICAL]
        overflow: list[WaitingDelivery] = []
        may_join = joined_at is None or joined_at + self.pace_s <= now  # else those with room go on meanwhile
        if may_join and self._too_long(beginnings, joinable, now):
            lone = self._lone(beginnings, told, now)
            rest = [each for each in joinable if each not in lone]
            if len(rest) > 1:
                overflow, beginnings, rises = rest, lone, []
        elif may_join and self._too_long(rises, joinable, now) and len(rises) > 1:
            overflow, rises = rises, []
        own += self._with_room(beginnings, told, overflow)
        own += self._with_room(rises, told, overflow)
        return self._paced(own, overflow, sent, joined_at, now)

    def _too_long(
        self, of: Sequence[WaitingDelivery], waiting: Sequence[WaitingDelivery], now: float
    ) -> bool:
        return len(waiting) > 1 and any(now - each.since >= self.patience_s for each in of)

    def _lone(self, beginnings: Sequence[WaitingDelivery], told: _Told, now: float) -> list[WaitingDelivery]:
        """Fresh criticals of a rule that is not part of the flood: each still gets a message of its own."""
        of_rule = Counter(each.rule for each in beginnings)
        lone = [
            each
            for each in beginnings
            if told.rules[each.rule] < _KEPT_FOR_RARE
            and of_rule[each.rule] <= _LONE
            and now - each.since < self.patience_s / 2
        ]
        return lone if len(lone) <= _LONE else []

    def _with_room(
        self, waiting: Sequence[WaitingDelivery], told: _Told, overflow: list[WaitingDelivery]
    ) -> list[WaitingDelivery]:
        """Those that have room, in their order; the others are added to the overflow."""
        own: list[WaitingDelivery] = []
        for each in told.in_turn(waiting):
            is_rise = each.rank == RISE_TO_CRITICAL
            room = told.count < self._limit and not (is_rise and told.rises >= self._rises)
            rare = (
                not is_rise
                and told.rules[each.rule] < _KEPT_FOR_RARE
                and told.count < self._limit + _KEPT_FOR_RARE
            )
            if not room and not rare:
                overflow.append(each)
                continue
            told.add(each.rank, each.rule, each.subject)
            if each.due:
                own.append(each)
        return own

    def _paced(
        self,
        own: list[WaitingDelivery],
        overflow: list[WaitingDelivery],
        sent: Sequence[Sent],
        joined_at: float | None,
        now: float,
    ) -> CriticalPlan:
        due = [each for each in overflow if each.due]
        if not due:
            return CriticalPlan(own, (), None)
        free_at = now if joined_at is None else joined_at + self.pace_s
        if len(overflow) > 1:
            return CriticalPlan(own, overflow, free_at if free_at > now else None)
        if sent:  # alone it needs no summary: it waits a little for others
            free_at = max(free_at, min(sent[-1].at, due[0].since) + self.pace_s)
        return CriticalPlan([*own, *due], (), None) if free_at <= now else CriticalPlan(own, due, free_at)


class _Told:
    """How many criticals of each instrument and rule a receiver has had."""

    def __init__(self, sent: Sequence[Sent]) -> None:
        self.count = self.rises = 0
        self.rules: Counter[str] = Counter()
        self._subjects: Counter[str] = Counter()
        for each in sent:
            self.add(each.rank, each.rule, each.subject)

    def add(self, rank: int, rule: str, subject: str) -> None:
        self.count += 1
        self.rises += rank == RISE_TO_CRITICAL
        self.rules[rule] += 1
        self._subjects[subject] += 1

    def in_turn(self, waiting: Sequence[WaitingDelivery]) -> list[WaitingDelivery]:
        """Each instrument's first before any instrument's second; among those, rules that were told less."""
        subjects, rules = self._subjects.copy(), self.rules.copy()
        turns: list[tuple[int, int, int, int, WaitingDelivery]] = []
        for each in waiting:
            turns.append((subjects[each.subject], rules[each.rule], each.n, len(turns), each))
            subjects[each.subject] += 1
            rules[each.rule] += 1
        return [turn[-1] for turn in sorted(turns, key=lambda turn: turn[:4])]
