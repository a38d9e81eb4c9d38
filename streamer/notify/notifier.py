"""From the outbox to the receivers: chooses who gets an alert, and runs the senders."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog

from alerts.clock import Clock
from alerts.receivers.receiver import Receiver
from alerts.routing import Routes
from streamer.notify.attempt import plain_traceback
from streamer.notify.delivery_watch import DeliveryWatch, unwatched
from streamer.notify.heartbeat import HeartbeatSender
from streamer.notify.sender import RetryPace, Sender
from streamer.store.database import Database
from streamer.store.deliveries import MUTED, StoreDeliveries
from streamer.store.outbox import StoreOutbox, Unrouted

log = structlog.get_logger(__name__)

_ROUTED_AT_ONCE = 200  # rows a transaction; small enough that a commit of detection never waits long
_LOOK_S = 1.0  # service alerts and other processes put rows into the outbox without a call to `wake`
_IDLE_LOOK_S = 0.02
_LAST_JOIN_S = 0.5  # a sender between two deliveries ends within this; one in a call is left in doubt


class Notifier:
    """The notify half: one thread that routes, and one per receiver that delivers.

    A receiver that heard of an episode hears of all its later transitions, whatever the routes say of
    those: who saw it begin must see it end.

    Parameters
    ----------
    database
        The open store.
    routes
        Decides who gets what.
    receivers
        By name, in the order of the configuration.
    clock
        Wall-clock time.
    pace
        How often senders try; for all of them.
    caps
        Messages a minute by receiver; one that is not named has no cap.
    watch
        Told what becomes of deliveries.
    heartbeat
        Says from time to time that all is at work; None for never.
    """

    def __init__(
        self,
        database: Database,
        routes: Routes,
        receivers: Mapping[str, Receiver],
        clock: Clock,
        pace: RetryPace | None = None,
        *,
        caps: Mapping[str, int | None] = MappingProxyType({}),
        watch: DeliveryWatch = unwatched,
        heartbeat: HeartbeatSender | None = None,
    ) -> None:
        self._clock = clock
        self._pace = pace
        self._watch = watch
        self._heartbeat = heartbeat
        self._deliveries = StoreDeliveries(database)
        self._outbox = StoreOutbox(database)
        self._routes = routes
        self._senders = {
            name: self._sender(name, receiver, caps.get(name)) for name, receiver in receivers.items()
        }
        self._leaving: list[Sender] = []
        self._routing = threading.Lock()  # held while rows are routed: they go by the old routes or the new
        self._failure: BaseException | None = None
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Take back what an earlier process left behind, and begin."""
        doubtful = self._deliveries.recover()
        if doubtful:
            log.info("deliveries in doubt", count=doubtful)
        for sender in self._senders.values():
            sender.start()
        self._thread.start()

    def wake(self) -> None:
        """Look into the outbox now; call it after every commit that wrote there."""
        self._woken.set()

    def turn_to(
        self,
        routes: Routes,
        names: Sequence[str],
        built: Mapping[str, Receiver],
        caps: Mapping[str, int | None] = MappingProxyType({}),
    ) -> None:
        """Go on with other routes and receivers.

        What is owed to a receiver that is gone stays in the store, and goes out when one of that name
        is there again.

        Parameters
        ----------
        routes
            Decides who gets what from now on.
        names
            All receivers, in the order of the configuration.
        built
            Those that are new or take the place of another; the rest go on as they are.
        caps
            As at the beginning, for those that are built.
        """
        with self._routing:
            before = self._senders
            self._senders = {
                name: self._sender(name, built[name], caps.get(name)) if name in built else before[name]
                for name in names
            }
            self._routes = routes
        for name, sender in before.items():
            if self._senders.get(name) is not sender:
                sender.stop(0.0)  # ends by itself behind the delivery at hand
                self._leaving.append(sender)
            if name not in self._senders:
                owed = self._deliveries.unfinished((name,))
                log.warning("receiver removed, what it is owed stays in the store", receiver=name, owed=owed)
        for name in built:
            self._senders[name].start()
        self._leaving = [one for one in self._leaving if one.failure is not None or not one.stop(0.0)]

    @property
    def receivers(self) -> tuple[str, ...]:
        """Names of all receivers, in the order of the configuration."""
        return tuple(self._senders)

    @property
    def failure(self) -> BaseException | None:
        """What ended one of the threads, None while all is well; the service must stop when it is set."""
        senders = (*self._senders.values(), *self._leaving)
        failures = [self._failure, *(sender.failure for sender in senders)]
        return next((failure for failure in failures if failure is not None), None)

    def idle(self) -> bool:
        """True when all is routed, and nothing is owed that will go out by itself (parked is not)."""
        return self._outbox.unrouted_count() == 0 and self._deliveries.unfinished(tuple(self._senders)) == 0

    def stop(self, grace_s: float) -> bool:
        """Deliver for at most `grace_s` what is owed, then end; the rest is delivered after the next start.

        Returns
        -------
        bool
            True when everything was delivered.
        """
        deadline = time.monotonic() + grace_s
        self.wake()
        while self.failure is None and not self.idle() and time.monotonic() < deadline:
            time.sleep(_IDLE_LOOK_S)
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        for sender in self._senders.values():
            sender.stop(0.0)
        for sender in (*self._senders.values(), *self._leaving):
            sender.stop(max(deadline - time.monotonic(), _LAST_JOIN_S))
        return self.failure is None and self.idle()

    def _sender(self, name: str, receiver: Receiver, cap: int | None) -> Sender:
        return Sender(name, receiver, self._deliveries, self._clock, self._pace, cap=cap, watch=self._watch)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                self._route_all()
                self._beat()
                self._woken.wait(_LOOK_S)
        except BaseException as error:  # noqa: BLE001 - the service looks at `failure` and stops
            # as with senders: what cannot be written down must stop the service, which then recovers
            self._failure = error
            log.error("notifier stopped", traceback=plain_traceback())  # noqa: TRY400

    def _route_all(self) -> None:
        while not self._stopping.is_set() and (rows := self._outbox.unrouted(_ROUTED_AT_ONCE)):
            with self._routing:
                self._route(rows)

    def _route(self, rows: Sequence[Unrouted]) -> None:
        choices = self._choose(rows)
        held = self._outbox.route(choices, self._clock.now())
        for (receiver, state), count in held.items():
            self._watch(receiver, "muted" if state == MUTED else "summarised", count)
        for name in {receiver for _, receivers in choices for receiver in receivers}:
            self._senders[name].wake()

    def _beat(self) -> None:
        if self._heartbeat is not None:
            for name in self._heartbeat.beat():
                self._senders[name].wake()

    def _choose(self, rows: Sequence[Unrouted]) -> list[tuple[Unrouted, tuple[str, ...]]]:
        told = dict(self._outbox.told([row.alert_id for row in rows]))
        choices: list[tuple[Unrouted, tuple[str, ...]]] = []
        for row in rows:
            body = json.loads(row.body)
            wanted = told.get(row.alert_id, frozenset()).union(self._routes.receivers(body))
            told[row.alert_id] = wanted
            chosen = tuple(name for name in self._senders if name in wanted)
            if not chosen:
                log.warning("alert goes to nobody", alert=row.alert_id, rule=body["rule"])
            choices.append((row, chosen))
        return choices
