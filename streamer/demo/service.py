"""The service, as the daemon runs it, on a simulated market."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alerts.receivers.receiver import Receiver
from alerts.stages.registry import StageSettings, build_stages
from alerts.stages.route import Router
from streamer.app.assembly import ServiceSetup, running_service
from streamer.app.reload import delivery_details
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.notify.receiver_set import ReceiverSet
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import StepResult
from streamer.serve.observer import Broker
from streamer.store.database import Database

_LOOPBACK = "127.0.0.1"
_ANY = 0

Address = tuple[str, int] | None
"""A host and a port, None for nowhere."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """Records folded in a run, and its seconds."""

    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoSetup:
    """What the demonstration runs with.

    Parameters
    ----------
    config, plan
        The configuration, and the same compiled; its receivers and heartbeat are not used.
    database
        An open store, in a file.
    source
        A source that ends, and brings its own timers.
    receivers
        Receivers of alerts by name.
    listen
        Where to serve metrics and health meanwhile.
    """

    config: ConfigFile
    plan: Plan
    database: Database
    source: Broker
    receivers: Mapping[str, Receiver]
    listen: Address


def run_demo(
    setup: DemoSetup,
    *,
    served: Callable[[Address], None],
    watch: Callable[[StepResult], None],
    stopped: Callable[[], bool],
) -> DemoRun:
    """Run the service until its source ends and all deliveries are done.

    Parameters
    ----------
    setup
        What to run.
    served
        Called with the address of metrics and health, before the first record is read.
    watch
        Called after every step.
    stopped
        Checked between polls.

    Raises
    ------
    TapewatchError
        When delivery or detection fails, or the address cannot be bound.
    """
    config = replace(setup.config, settings=setup.config.settings.model_copy(update={"heartbeat": None}))
    names = tuple(setup.receivers)
    router = Router(config.settings.route, names)
    stages = build_stages(StageSettings(router))
    receivers = ReceiverSet(names, setup.receivers, stages, details=delivery_details(config, router))
    service = ServiceSetup(config, setup.plan, receivers, setup.listen)
    with running_service(service, setup.database, _not_delivered) as parts:
        served(parts.address)
        engine = parts.engine(setup.source, timers=False, watch=watch)
        began = time.monotonic()
        engine.run(lambda: stopped() or parts.notifier.failure is not None)
    parts.check()
    return DemoRun(parts.observer.counts().records, time.monotonic() - began)


def where_to_listen(config: ConfigFile, port: int | None) -> Address:
    """Where the demonstration serves: on a loopback port, or the configured address if it is free.

    Parameters
    ----------
    config
        Its `serve.address` applies if no port is given; if that is in use, any free loopback port is used.
    port
        A port, 0 for any free one; None for the configured address.
    """
    if port is not None:
        return _LOOPBACK, port
    configured = config.settings.serve.listen
    if configured is None or _is_free(configured):
        return configured
    return _LOOPBACK, _ANY


def _is_free(address: tuple[str, int]) -> bool:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError:
        return False
    return True


def _not_delivered() -> None:
    raise TapewatchError("not every alert could be delivered within ten seconds")
