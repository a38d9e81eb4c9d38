"""A marked test message through a configured receiver."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from alerts.alert import Alert, AlertRule, Observation
from alerts.plain_text import one_line
from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_probe import with_remedy
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError, reason_code
from alerts.receivers.registry import RECEIVERS, build_receiver, probe_receiver
from alerts.secrets import SecretError
from alerts.severity import Severity
from alerts.short_id import short_id
from streamer.app.reload import receiver_problem
from streamer.config.errors import ConfigError
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.messages.time_units import NS_PER_SECOND
from streamer.notify.clock import SystemClock

_RULE, _VERSION = "test_message", "1"


@dataclass(frozen=True, slots=True)
class SentTest:
    """A test message that arrived.

    Parameters
    ----------
    id
        As people see it; it stands in the message.
    answered
        What the receiver answered.
    link
        Where to look at it; empty where that is not known.
    """

    id: str
    answered: str
    link: str


def send_test(
    config: ConfigFile, name: str, severity: str, environ: Mapping[str, str], sender: str
) -> SentTest:
    """Deliver a test message, once.

    Parameters
    ----------
    config
        The configuration.
    name
        The receiver's name in it.
    severity
        How severe it is said to be.
    environ
        Environment variables, for secrets.
    sender
        Who sends it, as the message says.

    Raises
    ------
    ConfigError
        When the receiver cannot be built.
    TapewatchError
        When the message was not taken, with the cause and the remedy.
    """
    settings, clock = config.settings.receivers[name], SystemClock()
    try:
        receiver = build_receiver(name, settings, lambda secret: secret.resolve(environ), clock)
    except (ReceiverError, SecretError) as error:
        raise ConfigError([receiver_problem(config, name, error)]) from error
    now = clock.now()
    seen = Observation(
        ts_event_ns=int(now * NS_PER_SECOND),
        source={"receiver": name},
        text=f"TEST, nothing has happened: sent with `tapewatch try {name}` by {sender}",
    )
    rule = AlertRule(_RULE, _VERSION, cast(Severity, severity), "")
    alert = Alert.about_service(secrets.token_hex(16), rule, seen)
    delivery = Delivery(alert.id, 0, name, alert.to_json(), created_at=now)
    try:
        answered = receiver.deliver(delivery, lambda step, result: None)
    except (RetryableError, PermanentError) as error:
        raise TapewatchError(_why(config, name, environ, error)) from error
    link = RECEIVERS[settings.kind].link(receiver, answered)
    return SentTest(short_id(alert.id), one_line(answered), link)


def _why(
    config: ConfigFile, name: str, environ: Mapping[str, str], error: RetryableError | PermanentError
) -> str:
    """The cause and the remedy: what the receiver's own probe finds, or else what was answered."""
    said = with_remedy(str(error))
    answer = f" (answered: {error.answer})" if error.answer else ""
    doubt = "; it may have arrived all the same" if error.in_doubt else ""
    try:
        probe_receiver(
            name, config.settings.receivers[name], lambda secret: secret.resolve(environ), SystemClock()
        )
    except (ReceiverError, SecretError) as found:
        problem = receiver_problem(config, name, found)
        if reason_code(str(error)) in str(found):
            return f"{problem}{doubt}"
        return f"{problem}; the test message: {said}{answer}{doubt}"
    return f"{receiver_problem(config, name, ReceiverError(f'{said}{answer}'))}{doubt}"
