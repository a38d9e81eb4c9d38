"""Ends of announced episodes that have waited: they get a place in time, or one message that names each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alerts.service_alert import DELIVERY_SUMMARY
from alerts.stages.importance import ENDED_LIST, ENDS, LATE
from alerts.stages.stage import Joined
from alerts.stages.summary import SummaryHeading, summaries
from alerts.stages.view import SUMMARISED, StageView, WaitingDelivery

END_RANKS: Final = (*ENDS, *(LATE + rank for rank in ENDS))
"""Ranks of ends, live and late."""

_TOGETHER_AT_MOST = 200
_TOGETHER_AT_LEAST = 2
_PART = 5  # of so many places one is for ends that have waited a window
_WINDOWS_BETWEEN = 2  # two lists of ends, so that a summary of others has its turn between them


class EndsThatWait:
    """What a receiver that cannot edit is owed about episodes that it believes to be going on.

    Parameters
    ----------
    receiver
        Its name.
    cap
        Its messages in a window.
    window_s
        The window, in seconds: after that an end has waited too long.
    """

    def __init__(self, receiver: str, cap: int, window_s: float) -> None:
        self._receiver = receiver
        self._places = cap // _PART
        self._window_s = window_s

    def hold_others(self, rank: int, now: float, view: StageView) -> bool:
        """Whether the next place is an end's, where the cap is so small that one in five is not a place."""
        if self._places or rank in END_RANKS or not self._is_owed(now, view):
            return False
        since = now - _WINDOWS_BETWEEN * self._window_s
        return not view.sent_since(self._receiver, since, (*END_RANKS, ENDED_LIST))

    def joined(self, now: float, view: StageView) -> Sequence[Joined]:
        """One message for all that wait, where more do than get a place; those that do not fit wait on."""
        listed_at = view.joined_at(self._receiver, ENDED_LIST)
        if listed_at is not None and listed_at > now - _WINDOWS_BETWEEN * self._window_s:
            return ()
        if not self._is_owed(now, view):
            return ()
        members = self._members(view)
        if len(members) < max(_TOGETHER_AT_LEAST, self._places + 1):
            return ()
        heading = SummaryHeading(
            DELIVERY_SUMMARY,
            self._receiver,
            lambda count: f"{count:,} alerts that were sent before are over",
            names_all=True,
            severity="info",
        )
        part = summaries(heading, members, now)[0]
        key = f"{part.alert.id}-{part.alert.number}"
        return (Joined(part.alert, part.members, SUMMARISED, key, ENDED_LIST),)

    def _is_owed(self, now: float, view: StageView) -> bool:
        oldest = view.waiting(self._receiver, 1, ranks=END_RANKS)
        if not oldest or oldest[0].since > now - self._window_s:
            return False
        return any(self._can_go(each) for each in view.waiting(self._receiver, _PART, ranks=END_RANKS))

    def _members(self, view: StageView) -> list[WaitingDelivery]:
        ends = view.waiting(self._receiver, _TOGETHER_AT_MOST, ranks=END_RANKS)
        episodes = {each.alert_id for each in ends if self._can_go(each) and each.heard}
        if len(episodes) < _TOGETHER_AT_LEAST:
            return []
        rows = view.waiting(self._receiver, _TOGETHER_AT_MOST * 2, episodes=episodes, bodies=True)
        of = {alert_id: [each for each in rows if each.alert_id == alert_id] for alert_id in episodes}
        # one that has come back since is not over
        alone = [of[each.alert_id][0] for each in ends if len(of.get(each.alert_id, ())) == 1]
        return [each for each in alone if self._can_go(each) and each.transition == "resolved"]

    @staticmethod
    def _can_go(each: WaitingDelivery) -> bool:
        return each.due and not each.in_doubt and not each.parked
