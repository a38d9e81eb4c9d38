"""The notify half on its own: a store, a notifier, receivers. Also as a process that can be killed.

As a process: `python -m fakes.delivering STORE SETTINGS`, where SETTINGS is JSON with `receivers` and
`route`; it prints `started`, delivers, and ends when everything is delivered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import structlog

from alerts.clock import Clock
from alerts.receivers.receiver import Delivery, Receiver
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.stages.cap import MINUTE_S
from alerts.stages.registry import StageSettings, build_stages
from alerts.stages.route import Router, RouteSettings
from streamer.notify.clock import SystemClock
from streamer.notify.delivery_details import DeliveryDetails
from streamer.notify.notifier import Notifier
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.retry_pace import RetryPace
from streamer.notify.routing import RoutedBatch, route
from streamer.notify.sender_context import SenderContext
from streamer.store.database import Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.outbox import StoreOutbox

QUICK = RetryPace(
    first_wait_s=0.01, longest_wait_s=0.5, deferral_s=0.05, longest_deferral_s=0.4, look_s=0.05, calm_s=0.2
)
"""A sender's pace with everything shorter, so that tests are quick."""

KEY = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


def receiver_set(
    built: Mapping[str, Receiver],
    routes: dict[str, Any] | None = None,
    names: Sequence[str] = (),
    purposes: Mapping[str, str] = MappingProxyType({}),
    **settings: Any,
) -> ReceiverSet:
    """Receivers and the registered stages over them; by default everybody gets everything.

    `names` are all receivers where those that are built are not all; the rest is for `StageSettings`.
    """
    all_names = tuple(names or built)
    router = Router(RouteSettings.model_validate(routes or {}), all_names)
    details = DeliveryDetails.of(purposes, router)
    return ReceiverSet(all_names, built, build_stages(StageSettings(router, **settings)), details=details)


def route_all(database: Database, receivers: Sequence[str], now: float, limit: int = 1_000) -> RoutedBatch:
    """Route what is in the outbox to these receivers, through the registered stages."""
    router = Router(RouteSettings.model_validate({"to": list(receivers)}), receivers)
    outbox = StoreOutbox(database)
    return route(outbox, outbox.unrouted(limit), receivers, build_stages(StageSettings(router)), now)


def claim_due(deliveries: StoreDeliveries, receiver: str, limit: int, now: float) -> Sequence[Delivery]:
    """Claim what is due, whatever stages would say."""
    return deliveries.claim(receiver, deliveries.due_at(receiver, limit, now), now)


def notifier(
    database: Database,
    receivers: dict[str, Any],
    routes: dict[str, Any],
    pace: RetryPace = QUICK,
    cap_window_s: float = MINUTE_S,
    clock: Clock | None = None,
    purposes: Mapping[str, str] = MappingProxyType({}),
) -> Notifier:
    """A notifier over these settings; secrets come from the environment, `KEY` and `TOKEN` are set.

    Receivers have a cap only where their settings name one. `purposes` is the rules' `why`.
    """
    environ = {"KEY": KEY, "TOKEN": "xoxb-test", **os.environ}
    clock = clock or SystemClock()
    checked = {name: ReceiverSettings.model_validate(settings) for name, settings in receivers.items()}
    built = {
        name: build_receiver(name, settings, lambda secret: secret.resolve(environ), clock)
        for name, settings in checked.items()
    }
    caps = {name: settings.messages_per_minute for name, settings in checked.items() if settings.cap}
    edits = {name: edits for name, settings in checked.items() if (edits := settings.edits_per_minute)}
    known = receiver_set(built, routes, purposes=purposes, caps=caps, cap_window_s=cap_window_s, edits=edits)
    known = replace(known, parallel={name: settings.at_once for name, settings in checked.items()})
    return Notifier(known, SenderContext(database, clock, pace))


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    database = open_store(sys.argv[1])
    settings = json.loads(sys.argv[2])
    running = notifier(database, settings["receivers"], settings["route"])
    running.start()
    print("started", flush=True)
    while not running.idle():
        if running.failure is not None:
            raise running.failure
        time.sleep(0.02)
    running.stop(5.0)


if __name__ == "__main__":
    main()
