"""The service, as the daemon runs it, on a simulated market."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alerts.receivers.receiver import Receiver
from alerts.routing import Router
from streamer.app.assembly import wired
from streamer.app.reload import Receivers
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Work
from streamer.serve.observer import Broker
from streamer.store.database import Database

_LOOPBACK = "127.0.0.1"
_ANY = 0

Address = tuple[str, int] | None
"""A host and a port, None for nowhere."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took: records folded, and seconds."""

    records: int
    seconds: float


def run_demo(
    config: ConfigFile,
    plan: Plan,
    database: Database,
    source: Broker,
    receivers: Mapping[str, Receiver],
    *,
    listen: Address,
    served: Callable[[Address], None],
    watch: Callable[[Work], None],
    stopped: Callable[[], bool],
) -> Ran:
    """Run the service on a source that ends, until all that is owed has been delivered.

    Parameters
    ----------
    config, plan
        What to do, and the same compiled; its receivers and its heartbeat are left.
    database
        An open store, in a file.
    source
        Where records come from, timers included.
    receivers
        Who hears of alerts, by name.
    listen
        Where to serve metrics and health meanwhile.
    served
        Told where they are, before the first record is read.
    watch
        Called after every batch.
    stopped
        Looked at between polls.

    Raises
    ------
    TapewatchError
        When delivery or detection had to stop, or the address cannot be listened on.
    """
    config = replace(config, settings=config.settings.model_copy(update={"heartbeat": None}))
    names = tuple(receivers)
    heard = Receivers(names, receivers, {}, Router(config.settings.route, names))
    with wired(config, plan, database, heard, listen=listen, left=_not_delivered) as parts:
        served(parts.address)
        engine = parts.engine(source, timers=False, watch=watch)
        began = time.monotonic()
        engine.run(lambda: stopped() or parts.notifier.failure is not None)
    parts.check()
    return Ran(parts.observer.counts().records, time.monotonic() - began)


def where_to_listen(config: ConfigFile, port: int | None) -> Address:
    """Where the demonstration serves: at a port of loopback, or as configured while nobody else is there.

    Parameters
    ----------
    config
        Its `serve.address` counts where no port is given; if that is taken, any free port serves as well.
    port
        A port that is wanted, 0 for any; None for what is configured.
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
    raise TapewatchError("not everything could be delivered within ten seconds")
