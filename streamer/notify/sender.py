"""Sends one receiver what it is owed: one thread that chooses, a few that deliver."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from alerts.receivers.receiver import Delivery, Receiver
from alerts.short_id import short_id
from alerts.stages.chain import StageChain
from alerts.stages.importance import CRITICAL
from alerts.stages.spending import EDIT_COUNTED
from alerts.stages.stage import Joined
from streamer.notify.attempt import plain_traceback
from streamer.notify.choosing import Chooser, Claim, ClaimChoice
from streamer.notify.delivery_details import DeliveryDetails
from streamer.notify.delivery_pool import DeliveryPool
from streamer.notify.delivery_turn import DeliveryTurns, SenderEnd
from streamer.notify.sender_context import SenderContext
from streamer.notify.sent_messages import SentMessages
from streamer.notify.stage_views import ClaimView, message_of
from streamer.notify.throttle import Throttle
from streamer.store.database import OutOfFilesError, StoreError, lacks_files
from streamer.store.deliveries import StoreDeliveries
from streamer.store.due_deliveries import DueDelivery
from streamer.store.told_severities import told_severity

_AT_ONCE_S = 0.1  # for a receiver that answers sooner deliveries are claimed ahead; news waits no longer

log = structlog.get_logger(__name__)

_FILES_AGAIN_S = 1.0


class Sender:
    """Delivers to one receiver: the most important first, several episodes at a time.

    Before each claim it asks the stages which of the due deliveries go out, and whether one is to be sent in
    place of several. It claims no more than can be on their way, so that whatever is committed meanwhile is
    next if it is more important; for a receiver that answers at once, as many again, so that no thread waits
    for the store and several are claimed in one transaction. Transitions of one episode go in order; an
    episode that a receiver does not take does not hold the others. A receiver that cannot be reached, or asks
    for a pause, is left alone until then; the first to be tried after that is the most important, whatever
    stages hold. Retryable errors are retried for ever; permanent ones are parked.

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
    parallel
        How many deliveries may be on their way at once.
    """

    def __init__(
        self, name: str, receiver: Receiver, stages: StageChain, context: SenderContext, parallel: int = 1
    ) -> None:
        self.name = name
        self.stages = stages
        """Replaced on a reload; the next claim asks the new ones."""
        self.details = DeliveryDetails()
        """What each delivery is completed with; replaced on a reload."""
        self.failure: BaseException | None = None
        """What ended the thread before it was told to stop, None while all is well."""
        self._database = context.database
        self._deliveries = StoreDeliveries(context.database)
        self._time = context.time
        self._pace = context.pace
        self._watch = context.watch
        self._messages = SentMessages(context.database, name, context.clock)
        self._woken = threading.Event()
        end = SenderEnd()
        self._stopping, self._ending = end.stopping, end.at_once
        self._throttle = Throttle(context.pace, parallel)
        self._turns = DeliveryTurns(name, receiver, context, self._throttle, end)
        self._chooser = Chooser(name, self._deliveries, context.watch, self._stopping.is_set)
        self._probed = 0  # the newest critical when the receiver was last tried
        self._pool = DeliveryPool(f"deliver-{name}", self._take, self._woken.set, parallel)
        self._parallel = parallel
        self._thread = threading.Thread(target=self._run, name=f"sender-{name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look for deliveries now; a pause that the receiver asked for is still kept."""
        self._woken.set()

    def leave(self) -> None:
        """Begin no other delivery, and end when those on their way are done and the store knows of them.

        The process goes on, and nobody else takes them up.
        """
        self._stopping.set()
        self._woken.set()

    @property
    def has_ended(self) -> bool:
        """Whether all threads have ended."""
        return not self._thread.is_alive() and self._pool.join(0.0)

    def stop(self, timeout: float) -> bool:
        """Finish the deliveries that are on their way, begin no others, and end, since the process does.

        Parameters
        ----------
        timeout
            Seconds to wait for that.

        Returns
        -------
        bool
            False when one of them took longer; it stays in doubt.
        """
        deadline = time.monotonic() + timeout
        self._ending.set()
        self.leave()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive() and self._pool.join(max(deadline - time.monotonic(), 0.0))

    def idle(self) -> bool:
        """True when nothing is being delivered and nothing becomes due by itself."""
        return self._deliveries.finished((self.name,))

    def _run(self) -> None:
        try:
            self._release_ranks()
            while not self._stopping.is_set():
                self._woken.clear()
                wait_s = self._next_turn()
                if wait_s > 0:
                    self._woken.wait(wait_s)
            self._book_last()
        except BaseException as error:  # noqa: BLE001 - the service looks at `failure` and stops
            self._fail(error)
        finally:
            self._pool.close()

    def _fail(self, error: BaseException) -> None:
        # when the store fails, nothing can be kept: the service must stop, and recovers at its next start
        self.failure = error
        log.error("sender stopped", receiver=self.name, traceback=plain_traceback())
        self._stopping.set()

    def _book_last(self) -> None:
        try:
            self._turns.book()
        except OutOfFilesError as error:  # what has arrived is in doubt at the next start
            log.warning("arrivals are not booked", receiver=self.name, reason=str(error))

    def _release_ranks(self) -> None:
        while not self._stopping.is_set():
            try:
                self._deliveries.release_ranks(self.name)
            except (OutOfFilesError, OSError) as error:
                self._wait_for_files(error)
            else:
                return

    def _next_turn(self) -> float:
        try:
            return self._turn()
        except (OutOfFilesError, OSError) as error:
            self._wait_for_files(error)
            return 0.0

    def _wait_for_files(self, error: StoreError | OSError) -> None:
        """Wait where too many files are open, since that passes and nothing is lost; raise anything else."""
        if not lacks_files(error):
            raise error
        log.warning("deliveries wait", receiver=self.name, reason=str(error))
        self._ending.wait(_FILES_AGAIN_S)

    def _turn(self) -> float:
        """Send what can be sent now; how long there is nothing to do unless something happens, in seconds."""
        self._turns.book()
        pause_s = self._pause_s()
        if pause_s > 0:
            return pause_s
        free = self._free()
        if free <= 0:
            return self._pace.look_s
        now = self._time.now()
        page = self._deliveries.due_at(self.name, free, now)
        if not page:
            return self._until(self._deliveries.next_due(self.name))
        stages = self.stages  # a reload replaces them at any time
        claim = self._claim(stages, now, free)
        if self._throttle.probing:
            # whatever stages hold: they wait for what is sent, and nothing is until something gets through
            self._probed = self._deliveries.newest(self.name, CRITICAL)
            self._start(self._chooser.probe(claim, page[0]), now)
            return 0.0
        first = self._chooser.named(claim)
        if first:
            self._start(first, now)
            claim = self._claim(stages, now, 0)
        if self._join(stages.join(self.name, now, claim.view), now) or first:
            return 0.0
        choice = self._chooser.choose(claim, page)
        self._start(choice.passed, now)
        return 0.0 if choice.passed or choice.cut_short else self._until_held(choice)

    def _free(self) -> int:
        allowed = self._throttle.allowed()
        free = allowed - self._pool.busy - self._turns.unbooked
        if allowed < self._parallel or not self._pool.within(_AT_ONCE_S):
            return free
        ahead = free + self._parallel
        return ahead if ahead > self._parallel // 2 else 0  # rather several at once than one by one

    @property
    def pause_s(self) -> float:
        """For how many seconds nothing is sent; a critical that is new cuts an outage's pause short."""
        pause_s, sooner_s = self._throttle.pause_s(), self._throttle.cut_short_s()
        if pause_s <= 0 or sooner_s is None:
            return pause_s
        is_new = self._deliveries.newest(self.name, CRITICAL) > self._probed
        return min(pause_s, sooner_s) if is_new else pause_s

    def _pause_s(self) -> float:
        pause_s = self.pause_s
        if pause_s <= 0 < self._throttle.pause_s():
            self._throttle.cut_short()
        return pause_s

    def _claim(self, stages: StageChain, now: float, free: int) -> Claim:
        view = ClaimView(self._database, self._messages, now, self._chooser.held)
        edits_pause_s = self._throttle.edits_pause_s()
        paused = dict.fromkeys(EDIT_COUNTED, now + edits_pause_s) if edits_pause_s > 0 else {}
        return Claim(stages, now, view, free, paused)

    def _until(self, *times: float | None) -> float:
        """Seconds until the first of these wall-clock times; at most `look_s`."""
        now = self._time.now()
        waits = [at - now for at in times if at is not None]
        return min(max(min(waits, default=self._pace.look_s), 0.0), self._pace.look_s)

    def _until_held(self, choice: ClaimChoice) -> float:
        return self._until(*choice.ranks.values(), self._deliveries.next_due(self.name))

    def _join(self, joined: Sequence[Joined], now: float) -> bool:
        """Put deliveries in the place of others; whether there were any."""
        if self._stopping.is_set():
            return False  # after a reload another sender may be at work
        done = False
        for each in joined:
            if not self._deliveries.join(self.name, each, now):
                continue
            done = True
            self._messages.add_joined(each.rank)
            self._chooser.release({member.rank for member in each.members})
            count, key = len(each.members), f"{short_id(each.alert.id)}-{each.alert.number}"
            log.warning(f"deliveries {each.state}", receiver=self.name, count=count, delivery=key)
            self._watch(self.name, each.state, count)
        return done

    def _start(self, due: Sequence[DueDelivery], now: float) -> None:
        if self._stopping.is_set():
            return
        messages = {each.transition.key: message_of(each.transition, now) for each in due}
        for delivery in self._deliveries.claim(self.name, due, now):
            self._messages.start(delivery.key, messages[delivery.key])
            self._pool.submit(delivery)

    def _take(self, delivery: Delivery, waited_s: float) -> None:
        sent = 0
        try:
            while True:
                try:
                    if waited_s > _AT_ONCE_S:  # something more important may have come
                        self._deliveries.release((delivery,))
                        return
                    told = told_severity(self._database, delivery)
                    sent += self._turns.take(self.details.completed(delivery, told, self.stages.late_after_s))
                except (OutOfFilesError, OSError) as error:  # it may have arrived, and not been noted
                    self._wait_for_files(error)
                    delivery = replace(delivery, in_doubt=True)
                    if self._ending.is_set():
                        break
                else:
                    break
        except BaseException as error:  # noqa: BLE001 - as in `_run`
            self._fail(error)
        finally:
            self._messages.end(delivery.key, sent)
