"""The notify half on its own: a store, a notifier, receivers. Also as a process that can be killed.

As a process: `python -m fakes.delivering STORE SETTINGS`, where SETTINGS is JSON with `receivers` and
`route`; it prints `started`, delivers, and ends when everything is delivered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import structlog

from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.routing import Router, RouteSettings
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.sender import RetryPace
from streamer.store.database import Database, open_store

QUICK = RetryPace(first_wait_s=0.01, longest_wait_s=0.5, deferral_s=0.05, longest_deferral_s=0.4, look_s=0.05)
"""A sender's pace with everything shorter, so that tests are quick."""

KEY = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


def notifier(
    database: Database, receivers: dict[str, Any], route: dict[str, Any], pace: RetryPace = QUICK, **more: Any
) -> Notifier:
    """A notifier over these settings; secrets come from the environment, `KEY` and `TOKEN` are set.

    Receivers have a cap only where their settings name one.
    """
    environ = {"KEY": KEY, "TOKEN": "xoxb-test", **os.environ}
    clock = SystemClock()
    checked = {name: ReceiverSettings.model_validate(settings) for name, settings in receivers.items()}
    built = {
        name: build_receiver(name, settings, lambda secret: secret.resolve(environ), clock)
        for name, settings in checked.items()
    }
    caps = {name: settings.messages_per_minute for name, settings in checked.items() if settings.cap}
    router = Router(RouteSettings.model_validate(route), tuple(built))
    return Notifier(database, router, built, clock, pace, caps=caps, **more)


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
