"""One thread per receiver that delivers what it is owed, in order, until it has arrived."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import stamina
import structlog

from alerts.clock import Clock
from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.stages.chain import StageChain
from alerts.stages.stage import HoldUntil, Joined, Pass
from streamer.notify.attempt import Attempt, plain_traceback
from streamer.notify.clock_watch import ClockWatch
from streamer.notify.delivery_details import DeliveryDetails
from streamer.notify.delivery_watch import DeliveryWatch, unwatched
from streamer.notify.retry_pace import RetryPace
from streamer.notify.sent_messages import SentMessages
from streamer.notify.stage_views import ClaimView
from streamer.store.database import Database
from streamer.store.deliveries import DueDelivery, StoreDeliveries
from streamer.store.told_severities import told_severity

log = structlog.get_logger(__name__)

CLAIM = 20  # deliveries taken from the store in one transaction


@dataclass(frozen=True, slots=True)
class SenderContext:
    """What all senders share.

    Parameters
    ----------
    database
        The open store.
    clock
        Wall-clock time.
    pace
        When to try again.
    watch
        Told what becomes of deliveries.
    """

    database: Database
    clock: Clock
    pace: RetryPace = field(default_factory=RetryPace)
    watch: DeliveryWatch = unwatched
    time: ClockWatch = field(init=False)
    """Wall-clock time, by which waits in the store are right however the clock is set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", ClockWatch(self.database, self.clock))


class Sender:
    """Delivers to one receiver, on a thread of its own.

    Before each claim it asks the stages which of the due deliveries go out, and whether one is to be sent
    in place of several. Transitions of one episode go in order; an episode that a receiver does not take
    does not hold the others. A receiver that cannot be reached, or asks for a pause, is left alone until
    then. Retryable errors are retried for ever; permanent ones are parked.

    Parameters
    ----------
    name
        The receiver's name.
    receiver
        The receiver.
    stages
        What decides.
    context
        The store, the clock, and the rest that senders share.
    """

    def __init__(self, name: str, receiver: Receiver, stages: StageChain, context: SenderContext) -> None:
        self.name = name
        self.stages = stages
        """Replaced on a reload; the next claim asks the new ones."""
        self.details = DeliveryDetails()
        """What each delivery is completed with; replaced on a reload."""
        self.failure: BaseException | None = None
        """What ended the thread before it was told to stop, None while all is well."""
        self._receiver = receiver
        self._database = context.database
        self._deliveries = StoreDeliveries(context.database)
        self._time = context.time
        self._pace = context.pace
        self._watch = context.watch
        self._messages = SentMessages(context.database, name, context.clock)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._paused_until = 0.0
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"sender-{name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look for deliveries now; a pause that the receiver asked for is still kept."""
        self._woken.set()

    def stop(self, timeout: float) -> bool:
        """Finish the current delivery, give the other claimed ones back, and end.

        Parameters
        ----------
        timeout
            Seconds to wait for that.

        Returns
        -------
        bool
            False when the current delivery took longer; it stays in doubt.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def idle(self) -> bool:
        """True when nothing is being delivered and nothing becomes due by itself."""
        return self._deliveries.unfinished((self.name,)) == 0

    def _run(self) -> None:
        try:
            self._deliveries.forget_holds(self.name, self._time.now())
            while not self._stopping.is_set():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the service looks at `failure` and stops
            # when the store fails, nothing can be kept: the service must stop, and recovers at its next start
            self.failure = error
            log.error("sender stopped", receiver=self.name, traceback=plain_traceback())  # noqa: TRY400

    def _turn(self) -> None:
        self._woken.clear()
        pause = self._paused_until - time.monotonic()
        if pause > 0:
            self._stopping.wait(pause)
            return
        now = self._time.now()
        view = ClaimView(self._database, self._messages, now)
        due = self._deliveries.due(self.name, CLAIM, now)
        if not due:
            self._woken.wait(self._until_due())
            return
        stages = self.stages  # a reload replaces them at any time
        joined = stages.join(self.name, now, view)
        if self._stopping.is_set():
            return  # after a reload another sender may be at work
        if joined is not None and self._deliver_joined(joined, now):
            return
        probing = self._failures >= self._pace.failures_in_a_row
        passed, held_until = self._judged(stages, due[:1] if probing else due, now, view)
        if self._stopping.is_set():
            return
        if passed:
            self._deliver_all(self._deliveries.claim(self.name, passed, now))
        elif held_until is not None:
            self._stopping.wait(min(max(held_until - self._time.now(), 0.0), self._pace.look_s))

    def _judged(
        self, stages: StageChain, due: Sequence[DueDelivery], now: float, view: ClaimView
    ) -> tuple[list[DueDelivery], float | None]:
        """The deliveries that pass, and until when the receiver gets nothing at all where that was said."""
        passed: list[DueDelivery] = []
        for delivery in due:
            judgement = stages.judge("claim", delivery.transition, self.name, now, view)
            stage, verdict = judgement.stage, judgement.verdict
            if self._stopping.is_set():
                break
            if isinstance(verdict, Pass):
                passed.append(delivery)
                view.add()
            elif isinstance(verdict, HoldUntil) and verdict.everything:
                if not passed:  # else the next claim says whether it still has to wait
                    self._deliveries.hold_due(self.name, stage, verdict.reason, now)
                return passed, verdict.until
            elif isinstance(verdict, HoldUntil):
                self._deliveries.hold(delivery.n, stage, verdict.reason, verdict.until)
            elif verdict.state is None:
                raise TypeError(f"stage {stage} stops a delivery without a state to keep it in")
            elif self._deliveries.stop(delivery.n, verdict.state, verdict.reason):
                self._watch(self.name, verdict.state)
        return passed, None

    def _deliver_all(self, deliveries: Sequence[Delivery]) -> None:
        claimed = deque(deliveries)
        while claimed and not self._stopping.is_set() and self._paused_until <= time.monotonic():
            if self._deliver(claimed.popleft()) > 1:
                break  # it took the place of others, so the stages have to be asked again
        if claimed:
            self._deliveries.release(tuple(claimed))

    def _deliver_joined(self, joined: Joined, now: float) -> bool:
        delivery = self._deliveries.join(self.name, joined, now)
        if delivery is None:
            return False
        self._messages.add_joined(joined.alert.rule)
        count = len(joined.members)
        key = delivery.short_key
        log.warning(f"deliveries {joined.state}", receiver=self.name, count=count, delivery=key)
        self._watch(self.name, joined.state, count)
        self._deliver(delivery)
        return True

    def _until_due(self) -> float:
        due = self._deliveries.next_due(self.name)
        wait = self._pace.look_s if due is None else due - self._time.now()
        return min(max(wait, 0.0), self._pace.look_s)

    def _deliver(self, delivery: Delivery) -> int:
        """Deliver it if the receiver takes it; the number of messages that went out for it."""
        delivery = self.details.completed(delivery, told_severity(self._database, delivery))
        attempt = Attempt(self._receiver, self._deliveries, delivery)
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
            now = self._time.now()
            self._deliveries.delivered((delivery,), now)
            self._watch(self.name, "delivered", 1, max(now - delivery.created_at, 0.0))
        finally:
            self._messages.add(attempt.messages)
        return attempt.messages

    def _backoff(self, error: Exception) -> bool | float:
        """Whether to try again at once, or after how many seconds; longer waits are kept in the store."""
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
            self._paused_until = time.monotonic() + wait
        elif error.everything or self._failures >= self._pace.failures_in_a_row:
            self._paused_until = time.monotonic() + self._pace.deferral(self._failures)
        log.warning(
            "delivery deferred",
            receiver=self.name,
            delivery=delivery.short_key,
            reason=str(error),
            wait_s=wait,
        )
        self._deliveries.retry(delivery, self._time.now() + wait, str(error), error.in_doubt)
        self._watch(self.name, "retried")

    def _park(self, delivery: Delivery, reason: str) -> None:
        self._failures = 0
        log.error("delivery parked", receiver=self.name, delivery=delivery.short_key, reason=reason)
        self._deliveries.park(delivery, reason, self._time.now())
        self._watch(self.name, "parked")
