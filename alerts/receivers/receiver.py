"""The contract of receivers: one delivery at a time; an exception says why it did not arrive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alerts.severity import severity_rank
from alerts.short_id import short_id


@dataclass(frozen=True, slots=True)
class Delivery:
    """One transition of one alert for one receiver.

    Parameters
    ----------
    alert_id, number
        The episode, and the transition's number in it (0 is `fired`).
    receiver
        The receiver's name.
    body
        The alert as it is stored, canonical JSON.
    attempts
        How often it has been tried before.
    in_doubt
        True when an earlier attempt ended without an answer (a crash, a time-out): it may have arrived.
    steps
        Results of the completed steps of this delivery, by step (Slack's `ts`).
    earlier
        Steps of the episode's earlier transitions at this receiver, oldest first.
    created_at
        When the transition was committed; wall-clock seconds.
    behind_s
        How far its record was behind the newest one of its log when it was fetched, where that is known.
    why
        The purpose of the rule, as the configuration that runs gives it; empty without one.
    note
        What else its reader should know, such as deliveries that could not be made; empty for nothing.
    told
        The highest severity that the receiver was told of this episode before; None before the first.
    mention
        Whom the route calls where a critical alert begins, as Slack's tokens.
    late_after_s
        From how far behind on it counts as late.
    answer
        The beginning of what the receiver answered to the last attempt that failed, safe to be shown.
    """

    alert_id: str
    number: int
    receiver: str
    body: bytes
    attempts: int = 0
    in_doubt: bool = False
    steps: Mapping[str, str] = field(default_factory=dict)
    earlier: Sequence[Mapping[str, str]] = ()
    created_at: float = 0.0
    behind_s: float | None = None
    why: str = ""
    note: str = ""
    told: str | None = None
    mention: Sequence[str] = ()
    late_after_s: float = 300.0
    answer: str = ""

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt at this delivery."""
        return f"{self.alert_id}-{self.number}"

    @property
    def short_key(self) -> str:
        """The key as people see it, in logs."""
        return f"{short_id(self.alert_id)}-{self.number}"

    @property
    def late_by_s(self) -> float | None:
        """How late it is, None where it is not.

        Examples
        --------
        >>> Delivery("a1", 0, "desk", b"{}", behind_s=400.0).late_by_s
        400.0
        """
        is_late = self.behind_s is not None and self.behind_s > self.late_after_s
        return self.behind_s if is_late else None

    def rises_to(self, severity: str) -> bool:
        """Whether the receiver knows of the episode, but not that it is as severe as this."""
        return self.told is not None and severity_rank(severity) > severity_rank(self.told)


class RetryableError(Exception):
    """The delivery failed, and may succeed later.

    Parameters
    ----------
    reason
        Short and bounded: a code such as ``http_503``, where it helps with ``: `` and what to do after it.
    retry_after_s
        Seconds to wait, as the receiver asked; None if it did not.
    in_doubt
        True when it may have arrived although there was no answer.
    everything
        True when nothing would get through now: the receiver cannot be reached, or asks for a pause.
    answer
        The beginning of what it answered, safe to be shown; empty where there was no answer.

    Attributes
    ----------
    edits
        True where the pause is for edits only, which the receiver limits by themselves.
    """

    def __init__(
        self,
        reason: str,
        retry_after_s: float | None = None,
        *,
        in_doubt: bool = False,
        everything: bool = False,
        answer: str = "",
    ) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.in_doubt = in_doubt
        self.everything = everything
        self.edits = False
        self.answer = answer


class PermanentError(Exception):
    """The delivery fails until somebody changes something.

    Parameters
    ----------
    reason
        Short and bounded: a code such as ``http_400``, where it helps with ``: `` and what to do after it.
    in_doubt
        True when it may have arrived all the same.
    answer
        The beginning of what the receiver answered, safe to be shown; empty where there was no answer.
    """

    def __init__(self, reason: str, *, in_doubt: bool = False, answer: str = "") -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt
        self.answer = answer


def reason_code(reason: str) -> str:
    """The code that a reason begins with.

    Examples
    --------
    >>> reason_code("http_302: it redirects to https://login.example"), reason_code("invalid_auth")
    ('http_302', 'invalid_auth')
    """
    return reason.partition(":")[0]


class Receiver(Protocol):
    """A destination of alerts."""

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
        """Send it, calling `record(step, result)` after each step that must not be repeated.

        Returns
        -------
        str
            What the other end answered, in a few words for people; nothing is decided by it.

        Raises
        ------
        RetryableError
            It may work later.
        PermanentError
            It will not work until somebody changes something.
        """
