"""One delivery on its way to one receiver, over as many attempts as it takes."""

from __future__ import annotations

import traceback
from dataclasses import replace

import structlog

from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from streamer.store.deliveries import StoreDeliveries

log = structlog.get_logger(__name__)


def plain_traceback() -> str:
    """The traceback of the error at hand, as text.

    Handed to the log in place of the error itself: renderers that show local variables would show tokens.
    """
    return traceback.format_exc()


class Attempt:
    """One delivery over its attempts: each knows the steps and the doubts of those before it.

    Parameters
    ----------
    receiver
        Who gets it.
    store
        Where its steps are remembered.
    delivery
        As it was claimed.
    """

    def __init__(self, receiver: Receiver, store: StoreDeliveries, delivery: Delivery) -> None:
        self.delivery = delivery
        self.messages = 0
        """How many have reached the receiver, or may have."""
        self._receiver = receiver
        self._store = store
        self._unrecorded = False

    def make(self) -> None:
        """Try once more.

        Raises
        ------
        RetryableError, PermanentError
            As the receiver says; a fault of its own is permanent, one of the store is raised as it is.
        """
        try:
            self._receiver.deliver(self.delivery, self._record)
            self.messages += 1
        except RetryableError as error:
            if error.in_doubt:
                self.messages += 1
                self.delivery = replace(self.delivery, in_doubt=True)
            raise
        except PermanentError:
            raise
        except Exception as error:
            if self._unrecorded:
                raise
            # a receiver's own fault must neither end the thread nor be tried for ever
            log.error("receiver failed", delivery=self.delivery.key, traceback=plain_traceback())  # noqa: TRY400
            raise PermanentError(f"internal_{type(error).__name__}") from error

    def _record(self, step: str, result: str) -> None:
        self._unrecorded = True  # until it is: an error in between is the store's, not the receiver's
        self._store.record_step(self.delivery, step, result)
        self._unrecorded = False
        self.delivery = replace(self.delivery, steps={**self.delivery.steps, step: result})
