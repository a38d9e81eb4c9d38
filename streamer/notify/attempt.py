"""One delivery over several attempts."""

from __future__ import annotations

import traceback
from dataclasses import replace

import structlog

from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from streamer.notify.parked_notes import ParkedNote, ParkedNotes
from streamer.store.deliveries import StoreDeliveries

log = structlog.get_logger(__name__)


def plain_traceback() -> str:
    """The traceback of the current error, as text.

    Logged instead of the error itself: log renderers that show local variables would show tokens.
    """
    return traceback.format_exc()


def answered(delivery: Delivery) -> dict[str, str]:
    """What a receiver answered to the last attempt that failed, for a line of the log."""
    return {"answer": delivery.answer} if delivery.answer else {}


class Attempt:
    """One delivery over its attempts; each knows what the earlier ones did.

    Parameters
    ----------
    receiver
        Where it goes.
    store
        Where its steps are kept.
    delivery
        As it was claimed.
    parked
        What its reader is to be told of deliveries that could not be made.
    """

    def __init__(
        self, receiver: Receiver, store: StoreDeliveries, delivery: Delivery, parked: ParkedNotes
    ) -> None:
        self.delivery = delivery
        self.messages = 0
        """How many messages reached the receiver, or may have."""
        self._receiver = receiver
        self._store = store
        self._parked = parked
        self._unrecorded = False

    def make(self) -> None:
        """Try once more.

        Raises
        ------
        RetryableError, PermanentError
            As the receiver says. An `OSError`, a `TimeoutError` among them, is of the world: it may pass, and
            the message may have arrived. Any other bug counts as permanent. Errors of the store pass through.
        """
        note = self._parked.note_for(self.delivery)
        try:
            self._receiver.deliver(replace(self.delivery, note=note.text), self._record)
            self.messages += 1
            self._parked.told(note)
        except RetryableError as error:
            self._may_pass(error, note)
            raise
        except PermanentError as error:
            self._failed(error)
            self._parked.untold(note)
            self._parked.reached(self.delivery.receiver)
            raise
        except Exception as error:
            if self._unrecorded:
                self._parked.untold(note)
                raise
            # a bug in a receiver must neither end the thread nor be retried for ever
            log.error("receiver failed", delivery=self.delivery.short_key, traceback=plain_traceback())  # noqa: TRY400
            if isinstance(error, OSError):
                passing = RetryableError(f"internal_{type(error).__name__}", in_doubt=True)
                self._may_pass(passing, note)
                raise passing from error
            self._parked.untold(note)
            self.delivery = replace(self.delivery, answer="")
            raise PermanentError(f"internal_{type(error).__name__}") from error

    def _may_pass(self, error: RetryableError, note: ParkedNote) -> None:
        self._failed(error)
        self._parked.untold(note)
        self._parked.failed(self.delivery.receiver, str(error))
        log.info(
            "attempt failed",
            receiver=self.delivery.receiver,
            delivery=self.delivery.short_key,
            reason=str(error),
            **answered(self.delivery),
        )

    def _failed(self, error: RetryableError | PermanentError) -> None:
        self.delivery = replace(self.delivery, answer=error.answer)
        if error.in_doubt:
            self.messages += 1
            self.delivery = replace(self.delivery, in_doubt=True)

    def _record(self, step: str, result: str) -> None:
        self._unrecorded = True  # an error from here on is the store's, not the receiver's
        self._store.record_step(self.delivery, step, result)
        self._unrecorded = False
        self.delivery = replace(self.delivery, steps={**self.delivery.steps, step: result})
