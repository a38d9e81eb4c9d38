"""A receiver's cap: at most ``20/m`` messages in any minute; one summary replaces the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from alerts.service_alert import DELIVERY_SUMMARY
from alerts.stages.stage import AlertTransition, HoldUntil, Joined, Pass, Stage, Verdict
from alerts.stages.summary import replaceable, summary
from alerts.stages.view import SUMMARISED, StageView

OFF = "off"
MINUTE_S = 60.0

_JOINED_AT_MOST = 50_000  # deliveries; the rest wait for the next summary
_JOINED_AT_LEAST = 2  # a single delivery is sent itself
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
    """Holds deliveries beyond a receiver's cap until the next message may be sent.

    When several deliveries wait and there was no summary in the last window, the next message is a summary
    that replaces all of them.

    Parameters
    ----------
    caps
        Messages a window by receiver; None, or a receiver that is not named, has no cap.
    window_s
        The window's length in seconds.
    """

    name = "cap"
    phase = "claim"

    def __init__(self, caps: Mapping[str, int | None], window_s: float = MINUTE_S) -> None:
        self._caps = dict(caps)
        self._window_s = window_s

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Hold all deliveries to the receiver while the window has as many messages as the cap."""
        cap = self._caps.get(receiver)
        if cap is None:
            return Pass("no cap")
        free_at = self._free_at(cap, receiver, now, view)
        if free_at is None:
            return Pass(f"within {cap} messages a minute")
        return HoldUntil(f"{cap} messages a minute were sent, it waits for the next place", free_at, True)

    def join(self, receiver: str, now: float, view: StageView) -> Joined | None:
        """A summary of what waits, if the cap has held deliveries and a message may be sent now."""
        cap = self._caps.get(receiver)
        if cap is None or self._free_at(cap, receiver, now, view) is not None:
            return None
        if view.joined_since(receiver, DELIVERY_SUMMARY, now - self._window_s):
            return None
        if not view.holds(receiver, self.name):
            return None
        members = replaceable(view.waiting(receiver, _JOINED_AT_MOST))
        if len(members) < _JOINED_AT_LEAST:
            return None
        alert = summary(receiver, cap, members, now)
        return Joined(alert, members, SUMMARISED, f"{alert.id}-{alert.number}")

    def _free_at(self, cap: int, receiver: str, now: float, view: StageView) -> float | None:
        """When a message may be sent; None for now."""
        window_s = self._window_s
        sent = view.sent_since(receiver, now - window_s)
        if len(sent) < cap:
            return None
        free_at = sent[len(sent) - cap] + window_s
        return free_at if free_at > now else None
