"""When a sender tries again."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.receivers.retry_after import LONGEST_RETRY_AFTER_S


@dataclass(frozen=True, slots=True)
class RetryPace:
    """How often a sender tries, and how long it waits in between.

    Parameters
    ----------
    attempts
        Attempts at one delivery before the next one gets its turn.
    first_wait_s, longest_wait_s
        Shortest and longest wait between those attempts; a turn that has taken longer than the longest gets
        no further attempt. A Retry-After is kept in the store as the time of the next turn.
    deferral_s, longest_deferral_s
        Wait until the next turn after all attempts failed: doubles each time, up to the longest.
    failures_in_a_row
        After this many failed turns without a success the receiver, not the alert, is at fault, and
        nothing is sent there for a while.
    calm_s
        After each of these without a Retry-After, one more delivery is sent at the same time again.
    least_pause_s
        How soon after its last failure a receiver that cannot be reached is tried for news that matters.
    look_s
        How often to look for deliveries that became due without a wake-up (through another process).
    """

    attempts: int = 3
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    deferral_s: float = 1.0
    longest_deferral_s: float = 300.0
    failures_in_a_row: int = 3
    calm_s: float = 30.0
    least_pause_s: float = 10.0
    look_s: float = 2.0

    @property
    def longest_s(self) -> float:
        """The longest that a delivery waits for its next turn, Retry-After included.

        Examples
        --------
        >>> RetryPace().longest_s
        86400.0
        """
        return max(self.longest_deferral_s, LONGEST_RETRY_AFTER_S)

    def deferral(self, turns: int) -> float:
        """Seconds until the next turn after this many failed ones (at least 1).

        Examples
        --------
        >>> [RetryPace().deferral(turns) for turns in (1, 2, 3, 20)]
        [1.0, 2.0, 4.0, 300.0]
        """
        doublings = min(turns - 1, 60)  # the longest applies long before, and 2**n would overflow
        return min(self.longest_deferral_s, self.deferral_s * 2.0**doublings)
