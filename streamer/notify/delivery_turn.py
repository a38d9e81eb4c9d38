"""A delivery's turn: a few attempts, and what becomes of it then."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import stamina
import structlog

from alerts.receivers.kind import retry_command
from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from streamer.notify.arrivals import Arrivals
from streamer.notify.attempt import Attempt, answered
from streamer.notify.sender_context import SenderContext
from streamer.notify.throttle import Throttle
from streamer.store.database import OutOfFilesError
from streamer.store.deliveries import StoreDeliveries

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SenderEnd:
    """How far a sender is to come to its end.

    Parameters
    ----------
    stopping
        Set when there are to be no more attempts.
    at_once
        Set when the process ends as well: what cannot be booked now stays in doubt until the next start.
    """

    stopping: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Event = field(default_factory=threading.Event)


class DeliveryTurns:
    """Gives deliveries to one receiver their turns, and keeps what becomes of them; from several threads.

    Parameters
    ----------
    name, receiver
        The receiver and its name.
    context
        What all senders share.
    throttle
        Told how it goes.
    end
        How far the sender is to come to its end.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        context: SenderContext,
        throttle: Throttle,
        end: SenderEnd,
    ) -> None:
        self._name = name
        self._receiver = receiver
        self._deliveries = StoreDeliveries(context.database)
        self._time = context.time
        self._pace = context.pace
        self._parked = context.parked
        self._watch = context.watch
        self._throttle = throttle
        self._stopping = end.stopping
        self._ending = end.at_once
        self._arrivals = Arrivals(self._book)

    @property
    def unbooked(self) -> int:
        """How many have arrived of which the store does not know yet."""
        return self._arrivals.unbooked

    def take(self, delivery: Delivery) -> int:
        """Deliver it if the receiver takes it; the number of messages that went out for it."""
        if self._stopping.is_set() or self._throttle.pause_s() > 0:
            self._deliveries.release((delivery,))
            return 0
        began = time.monotonic()
        attempt = Attempt(self._receiver, self._deliveries, delivery, self._parked)
        try:
            for turn in stamina.retry_context(
                on=partial(self._tries_again, began=began),
                attempts=self._pace.attempts,
                timeout=None,
                wait_initial=self._pace.first_wait_s,
                wait_max=self._pace.longest_wait_s,
                wait_jitter=self._pace.first_wait_s,
            ):
                with turn:
                    attempt.make()
        except RetryableError as error:
            self._defer(attempt.delivery, error, began)
        except PermanentError as error:
            self._park(attempt.delivery, str(error))
        else:
            self._throttle.succeeded()
            self._arrivals.add(delivery)
            if self._stopping.is_set():  # the sender may have booked for the last time
                self._arrivals.book()
        return attempt.messages

    def book(self) -> None:
        """Tell the store what has arrived."""
        self._arrivals.book()

    def _book(self, arrived: Sequence[Delivery]) -> None:
        now = self._time.now()
        while True:
            try:
                self._deliveries.delivered(arrived, now)
            except OutOfFilesError as error:  # others have left their arrivals to this thread, too
                if self._ending.is_set():
                    raise  # they stay in doubt
                log.warning("arrivals wait to be booked", receiver=self._name, reason=str(error))
            else:
                break
        for delivery in arrived:
            self._watch(self._name, "delivered", 1, max(now - delivery.created_at, 0.0))

    def _tries_again(self, error: Exception, began: float) -> bool:
        """Whether to try again at once; longer waits are kept in the store, and others get their turn."""
        if not isinstance(error, RetryableError) or error.retry_after_s is not None:
            return False
        # a receiver that takes its time to fail must not keep what is more important from being tried
        soon = time.monotonic() - began < self._pace.longest_wait_s
        return soon and not self._stopping.is_set() and self._throttle.pause_s() == 0

    def _defer(self, delivery: Delivery, error: RetryableError, began: float) -> None:
        # where the receiver is at fault its own pause decides; this delivery goes when that is over
        turns = 1 if error.everything else delivery.attempts + 1
        # one that asks for no wait, or until a time that is over, is not to be asked without end
        wait = max(error.retry_after_s or 0.0, self._pace.deferral(turns))
        log.warning(
            "delivery deferred",
            receiver=self._name,
            delivery=delivery.short_key,
            reason=str(error),
            wait_s=wait,
            **answered(delivery),
        )
        self._deliveries.retry(delivery, self._time.now() + wait, str(error), error.in_doubt)
        self._throttle.failed(error, began)
        self._watch(self._name, "retried")

    def _park(self, delivery: Delivery, reason: str) -> None:
        self._throttle.succeeded()
        log.error(
            "delivery parked",
            receiver=self._name,
            delivery=delivery.short_key,
            reason=reason,
            retry=retry_command(self._name),
            **answered(delivery),
        )
        with self._parked.parking():
            self._deliveries.park(delivery, reason, self._time.now())
        self._watch(self._name, "parked")
