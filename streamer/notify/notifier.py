"""From the outbox to the receivers: drives the stages when alerts are routed, and runs the senders."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence

import structlog

from alerts.receivers.kind import retry_command
from alerts.receivers.receiver import Receiver
from streamer.notify.attempt import plain_traceback
from streamer.notify.heartbeat import HeartbeatSender
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.routing import route
from streamer.notify.sender import Sender
from streamer.notify.sender_context import SenderContext
from streamer.store.database import OutOfFilesError, lacks_files
from streamer.store.deliveries import StoreDeliveries
from streamer.store.outbox import StoreOutbox
from streamer.store.parked_deliveries import ParkedGroup

log = structlog.get_logger(__name__)

_ROUTED_AT_ONCE = 200  # rows a transaction; small enough that a commit of detection never waits long
_LOOK_S = 1.0  # service alerts and other processes put rows into the outbox without a call to `wake`
_IDLE_LOOK_S = 0.02
_LAST_JOIN_S = 0.5  # between deliveries a sender ends within this time; a call in progress is left in doubt


class Notifier:
    """The notify half: one thread that routes, and a few per receiver that deliver.

    Parameters
    ----------
    receivers
        Who there is, and the stages that decide who gets what.
    context
        The store, the clock, and the rest that senders share.
    heartbeat
        Reports from time to time that the service works; None for never.
    """

    def __init__(
        self, receivers: ReceiverSet, context: SenderContext, heartbeat: HeartbeatSender | None = None
    ) -> None:
        self._context = context
        self._heartbeat = heartbeat
        self._deliveries = StoreDeliveries(context.database)
        self._outbox = StoreOutbox(context.database)
        self._stages = receivers.stages
        context.parked.watch(receivers.names)
        self._senders = {
            name: self._sender(name, receivers.built[name], receivers) for name in receivers.names
        }
        self._give_details(receivers)
        self._leaving: list[Sender] = []
        self._routing = threading.Lock()  # held while rows are routed, so that a reload comes between batches
        self._failure: BaseException | None = None
        self.looked_at = time.monotonic()
        """When routing last came to an end of what there was, monotonic seconds."""
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Take over what an earlier process was delivering, and begin."""
        self._deliveries.forget_waits(self._context.time.now(), self._context.pace.longest_s)
        doubtful = self._deliveries.recover()
        if doubtful:
            log.info("deliveries in doubt", count=doubtful)
        for group in self.parked:
            log.warning(
                "deliveries are parked",
                receiver=group.receiver,
                count=group.shown,
                reason=group.code,
                retry=retry_command(group.receiver),
            )
        for sender in self._senders.values():
            sender.start()
        self._thread.start()

    def wake(self) -> None:
        """Look into the outbox now; call it after every commit that wrote there."""
        self._woken.set()

    def turn_to(self, receivers: ReceiverSet) -> None:
        """Go on with other receivers and stages.

        What a removed receiver is owed stays in the store, and is sent when a receiver of that name is
        there again.
        """
        with self._routing:
            before = self._senders
            self._senders = {
                name: self._kept_or_new(name, receivers.built.get(name), receivers)
                for name in receivers.names
            }
            self._give_details(receivers)
            self._stages = receivers.stages
        self._context.parked.watch(receivers.names)
        for name, sender in before.items():
            if self._senders.get(name) is not sender:
                sender.leave()  # ends by itself after its current delivery
                self._leaving.append(sender)
            if name not in self._senders:
                owed = self._deliveries.unfinished((name,))
                log.warning("receiver removed, what it is owed stays in the store", receiver=name, owed=owed)
        for name in receivers.built:
            self._senders[name].start()
        self._leaving = [one for one in self._leaving if one.failure is not None or not one.has_ended]

    @property
    def receivers(self) -> tuple[str, ...]:
        """Names of all receivers, in the order of the configuration."""
        return tuple(self._senders)

    @property
    def parked(self) -> Sequence[ParkedGroup]:
        """What receivers have refused, and nobody has retried; as of a few seconds ago at most."""
        return self._context.parked.groups()

    @property
    def failing(self) -> Mapping[str, str]:
        """Receivers that nothing gets through to, for minutes or until somebody does something, and why."""
        return self._context.parked.failing()

    @property
    def failure(self) -> BaseException | None:
        """What ended one of the threads, None while all is well; once set, the service must stop."""
        senders = (*self._senders.values(), *self._leaving)
        failures = [self._failure, *(sender.failure for sender in senders)]
        return next((failure for failure in failures if failure is not None), None)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not been told to stop."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def idle(self) -> bool:
        """True when all is routed and nothing is left that is sent by itself; parked deliveries are not."""
        return self._outbox.all_routed() and self._deliveries.finished(tuple(self._senders))

    def stop(self, grace_s: float) -> bool:
        """Deliver for at most `grace_s` seconds, then end; the rest is delivered after the next start.

        Returns
        -------
        bool
            True when everything was delivered.
        """
        deadline = time.monotonic() + grace_s
        self.wake()
        while self.failure is None and not self._has_delivered_all(deadline) and time.monotonic() < deadline:
            time.sleep(_IDLE_LOOK_S)
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        for sender in (*self._senders.values(), *self._leaving):
            sender.stop(0.0)
        for sender in (*self._senders.values(), *self._leaving):
            sender.stop(max(deadline - time.monotonic(), _LAST_JOIN_S))
        return self.failure is None and self._has_delivered_all()

    def _has_delivered_all(self, until: float = math.inf) -> bool:
        """Whether nothing is left that can be sent until then, for which no longer pause is made."""
        try:
            if not self._outbox.all_routed():
                return False
            left_s = until - time.monotonic()
            names = tuple(name for name, sender in self._senders.items() if sender.pause_s < left_s)
            return self._deliveries.finished(names)
        except OutOfFilesError:  # a stop must end nevertheless; what is owed stays in the store
            return False

    def _sender(self, name: str, receiver: Receiver, receivers: ReceiverSet) -> Sender:
        return Sender(name, receiver, receivers.stages, self._context, receivers.parallel.get(name, 1))

    def _give_details(self, receivers: ReceiverSet) -> None:
        for sender in self._senders.values():
            sender.details = receivers.details

    def _kept_or_new(self, name: str, built: Receiver | None, receivers: ReceiverSet) -> Sender:
        if built is not None:
            return self._sender(name, built, receivers)
        sender = self._senders[name]
        sender.stages = receivers.stages
        return sender

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                self._turn()
                self.looked_at = time.monotonic()
                self._woken.wait(_LOOK_S)
        except BaseException as error:  # noqa: BLE001 - the service looks at `failure` and stops
            # as with senders: when the store fails, the service must stop, and recovers at its next start
            self._failure = error
            log.error("notifier stopped", traceback=plain_traceback())  # noqa: TRY400

    def _turn(self) -> None:
        try:
            self._route_all()
            self._beat()
        except (OutOfFilesError, OSError) as error:
            if not lacks_files(error):  # that passes, and what is not routed yet stays in the outbox
                raise
            log.warning("routing waits", reason=str(error))

    def _route_all(self) -> None:
        while not self._stopping.is_set() and (rows := self._outbox.unrouted(_ROUTED_AT_ONCE)):
            with self._routing:
                batch = route(
                    self._outbox, rows, tuple(self._senders), self._stages, self._context.clock.now()
                )
                for (receiver, state), count in batch.held_back.items():
                    self._context.watch(receiver, state, count)
                for name in batch.receivers:
                    self._senders[name].wake()
            self.looked_at = time.monotonic()

    def _beat(self) -> None:
        if self._heartbeat is not None:
            for name in self._heartbeat.beat():
                self._senders[name].wake()
