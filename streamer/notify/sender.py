"""One thread per receiver, which hands over what is owed there, in order, for as long as it takes."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

import stamina
import structlog

from alerts.cap import MINUTE_S, Budget
from alerts.clock import Clock
from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from streamer.notify.attempt import Attempt, plain_traceback
from streamer.notify.delivery_watch import DeliveryWatch, unwatched
from streamer.store.deliveries import StoreDeliveries

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPace:
    """How often, and how long apart, a sender tries.

    Parameters
    ----------
    attempts
        Attempts at one delivery before others get their turn.
    first_wait_s, longest_wait_s
        Between those attempts, growing; a receiver's Retry-After is honoured up to `longest_wait_s`
        at once, and beyond it from the store.
    deferral_s, longest_deferral_s
        Until the next turn after all attempts failed: doubles with each turn, up to the longest.
    failures_in_a_row
        After so many failed turns without a success between them nothing is sent for a while: the
        receiver, not the alert, is at fault.
    look_s
        How often to look for work that nobody announced (another process may have made it due).
    cap_window_s
        What a receiver's cap counts messages in.
    """

    attempts: int = 3
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    deferral_s: float = 1.0
    longest_deferral_s: float = 300.0
    failures_in_a_row: int = 3
    look_s: float = 2.0
    cap_window_s: float = MINUTE_S

    def deferral(self, turns: int) -> float:
        """Seconds until the next turn after so many failed ones (at least 1).

        Examples
        --------
        >>> [RetryPace().deferral(turns) for turns in (1, 2, 3, 20)]
        [1.0, 2.0, 4.0, 300.0]
        """
        doublings = min(turns - 1, 60)  # beyond it the longest holds in any case, and 2**n would overflow
        return min(self.longest_deferral_s, self.deferral_s * 2.0**doublings)


CLAIM = 20  # deliveries taken from the store at once


class Sender:
    """Delivers to one receiver, on a thread of its own.

    Transitions of one episode go in order; an episode that a receiver will not take does not hold the
    others. A receiver that cannot be reached, or asks for a pause, is left alone until then. What can be
    retried is retried for ever; what cannot is parked.

    With a cap, no more than so many messages go out in any minute. What is due beyond that waits for the
    next that is free, and if it is more than one, and the last summary is a minute old, a summary takes
    that place and stands for all of it.

    Parameters
    ----------
    name
        The receiver's name.
    receiver
        The receiver.
    store
        Where deliveries are kept; called from the sender's thread only.
    clock
        Wall-clock time.
    pace
        How often to try.
    cap
        Messages a minute, None for as many as there are.
    watch
        Told what becomes of deliveries.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        store: StoreDeliveries,
        clock: Clock,
        pace: RetryPace | None = None,
        *,
        cap: int | None = None,
        watch: DeliveryWatch = unwatched,
    ) -> None:
        self.name = name
        self.failure: BaseException | None = None
        """What ended the thread before it was asked to stop, None while all is well."""
        self._receiver = receiver
        self._store = store
        self._clock = clock
        self._pace = pace or RetryPace()
        self._watch = watch
        self._cap = cap
        self._budget = Budget(cap, self._pace.cap_window_s)
        self._overflowing = False
        self._summary_at = -math.inf
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._held_until = 0.0
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"sender-{name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work now; a receiver that asked for a pause still gets it."""
        self._woken.set()

    def stop(self, timeout: float) -> bool:
        """Finish the delivery at hand, give the others back, and end.

        Parameters
        ----------
        timeout
            Seconds to wait for that.

        Returns
        -------
        bool
            False when the delivery at hand took longer; it stays in doubt.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def idle(self) -> bool:
        """True when nothing is being delivered and nothing is owed that will come due by itself."""
        return self._store.unfinished((self.name,)) == 0

    def _run(self) -> None:
        try:
            self._remember()
            while not self._stopping.is_set():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the service looks at `failure` and stops
            # a store that fails leaves no place to note anything: the service must stop, and recovers
            self.failure = error
            log.error("sender stopped", receiver=self.name, traceback=plain_traceback())  # noqa: TRY400

    def _turn(self) -> None:
        self._woken.clear()
        pause = self._held_until - time.monotonic()
        if pause > 0:
            self._stopping.wait(pause)
            return
        probing = self._failures >= self._pace.failures_in_a_row
        left = self._budget.left(time.monotonic())
        if left == 0:
            self._overflow()
            return
        if self._summarised():
            return
        claimed = deque(self._store.claim(self.name, 1 if probing else min(CLAIM, left), self._clock.now()))
        if not claimed:
            self._woken.wait(self._until_due())
            return
        while claimed and self._may_go_on():
            self._deliver(claimed.popleft())
        if claimed:
            self._store.release(tuple(claimed))

    def _may_go_on(self) -> bool:
        now = time.monotonic()
        return not self._stopping.is_set() and self._held_until <= now and self._budget.left(now) > 0

    def _remember(self) -> None:
        """A restart gives nobody a second helping: what went out before it counts."""
        if not self._budget.capped:
            return
        now, wall = time.monotonic(), self._clock.now()
        before = self._store.sent_since(self.name, wall - self._budget.window_s)
        self._budget.remember(now - max(wall - sent, 0.0) for sent in before)

    def _overflow(self) -> None:
        due = self._store.next_due(self.name)
        if due is not None and due <= self._clock.now():
            self._overflowing = True
        now = time.monotonic()
        self._stopping.wait(min(max(self._budget.next_free(now) - now, 0.0), self._pace.look_s))

    def _summarised(self) -> bool:
        """Send one message in place of all that the cap has kept waiting; False where there is no cause."""
        now = time.monotonic()
        if not self._overflowing or self._cap is None or now < self._summary_at + self._budget.window_s:
            return False
        self._overflowing = False
        found = self._store.summarise(self.name, self._cap, self._clock.now())
        if found is None:
            return False
        summary, count = found
        log.warning("deliveries summarised", receiver=self.name, count=count, delivery=summary.key)
        self._watch(self.name, "summarised", count)
        self._summary_at = now
        self._deliver(summary)
        return True

    def _until_due(self) -> float:
        due = self._store.next_due(self.name)
        wait = self._pace.look_s if due is None else due - self._clock.now()
        return min(max(wait, 0.0), self._pace.look_s)

    def _deliver(self, delivery: Delivery) -> None:
        attempt = Attempt(self._receiver, self._store, delivery)
        try:
            for turn in stamina.retry_context(
                on=self._backoff,
                attempts=self._pace.attempts,
                timeout=None,
                wait_initial=self._pace.first_wait_s,
                wait_max=self._pace.longest_wait_s,
                wait_jitter=self._pace.first_wait_s,
            ):
                with turn:
                    attempt.make()
        except RetryableError as error:
            self._defer(attempt.delivery, error)
        except PermanentError as error:
            self._park(attempt.delivery, str(error))
        else:
            self._failures = 0
            now = self._clock.now()
            self._store.delivered((delivery,), now)
            self._watch(self.name, "delivered", 1, max(now - delivery.created_at, 0.0))
        finally:
            self._budget.spend(time.monotonic(), attempt.messages)

    def _backoff(self, error: Exception) -> bool | float:
        """Whether to try again at once, and after how long; longer waits go to the store."""
        if not isinstance(error, RetryableError) or self._stopping.is_set():
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s if error.retry_after_s <= self._pace.longest_wait_s else False

    def _defer(self, delivery: Delivery, error: RetryableError) -> None:
        self._failures += 1
        wait = error.retry_after_s
        if wait is None:
            wait = self._pace.deferral(delivery.attempts + 1)
        if error.retry_after_s is not None:
            self._held_until = time.monotonic() + wait
        elif error.everything or self._failures >= self._pace.failures_in_a_row:
            self._held_until = time.monotonic() + self._pace.deferral(self._failures)
        log.warning(
            "delivery deferred", receiver=self.name, delivery=delivery.key, reason=str(error), wait_s=wait
        )
        self._store.retry(delivery, self._clock.now() + wait, str(error), error.in_doubt)
        self._watch(self.name, "retried")

    def _park(self, delivery: Delivery, reason: str) -> None:
        self._failures = 0
        log.error("delivery parked", receiver=self.name, delivery=delivery.key, reason=reason)
        self._store.park(delivery, reason, self._clock.now())
        self._watch(self.name, "parked")
