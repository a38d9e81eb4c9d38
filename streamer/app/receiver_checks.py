"""Asks every receiver whether it could deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alerts.receivers.errors import ReceiverError
from alerts.receivers.kind import Probed
from alerts.receivers.registry import build_receiver, probe_receiver
from alerts.secrets import SecretError
from streamer.app.at_once import at_once
from streamer.app.reload import receiver_problem
from streamer.config.errors import Problem
from streamer.config.file import ConfigFile
from streamer.notify.clock import SystemClock

_WITHIN_S = 45.0  # for all receivers; each request has the receiver's own timeout
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ReceiverCheck:
    """What one receiver said.

    Parameters
    ----------
    name, kind
        Its name and kind.
    said
        What was found, or what is wrong and what to do.
    notes
        What may go wrong later.
    problem
        What keeps it from delivering, with its place in the file; None where nothing does.
    is_configuration
        Whether `run` would refuse the configuration for it.
    """

    name: str
    kind: str
    said: str
    notes: tuple[str, ...] = ()
    problem: Problem | None = None
    is_configuration: bool = False


def check_receivers(config: ConfigFile, environ: Mapping[str, str]) -> list[ReceiverCheck]:
    """Ask all receivers at the same time; nothing is sent.

    Parameters
    ----------
    config
        The configuration.
    environ
        Environment variables, for secrets.
    """
    clock = SystemClock()

    def probe(name: str) -> Callable[[], Probed]:
        settings = config.settings.receivers[name]
        return lambda: probe_receiver(name, settings, lambda secret: secret.resolve(environ), clock)

    results = at_once({name: probe(name) for name in config.settings.receivers}, _WITHIN_S, _AT_ONCE)
    return [_checked(config, name, result, environ) for name, result in results.items()]


def _checked(
    config: ConfigFile, name: str, result: Probed | Exception, environ: Mapping[str, str]
) -> ReceiverCheck:
    settings = config.settings.receivers[name]
    if isinstance(result, Probed):
        cap = settings.messages_per_minute
        limit = "" if cap is None else f"; at most {cap} messages per minute"
        return ReceiverCheck(name, settings.kind, f"{result.found}{limit}", result.notes)
    if isinstance(result, TimeoutError):
        result = ReceiverError(f"{result}: check the network and proxies, or lower its timeout")
    if not isinstance(result, ReceiverError | SecretError):
        raise result
    refused = _refused(config, name, environ) if not getattr(result, "passing", False) else None
    told = ReceiverError(str(result), *(refused or result).option)
    problem = receiver_problem(config, name, told)
    return ReceiverCheck(name, settings.kind, str(result), (), problem, refused is not None)


def _refused(config: ConfigFile, name: str, environ: Mapping[str, str]) -> ReceiverError | SecretError | None:
    """Why it cannot even be built, which is what `run` refuses."""
    try:
        build_receiver(
            name, config.settings.receivers[name], lambda secret: secret.resolve(environ), SystemClock()
        )
    except (ReceiverError, SecretError) as error:
        return error
    return None
