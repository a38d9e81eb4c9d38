"""What every receiver keeps to.

A new kind needs a rig in `RIGS`: settings to build it with, and how to read what has arrived. `posts` makes
one for a receiver that posts JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.slack import INCOMING, Answer, FakeSlack, cut, hang, rate_limited, server_error
from pydantic import ValidationError

from alerts.receivers.errors import ReceiverError
from alerts.receivers.http import HttpSettings
from alerts.receivers.kind import KindSettings, Probed, ReceiverKind
from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.secrets import SecretError
from streamer.config.secrets import secrets_of
from streamer.notify.clock import SystemClock

KEY = base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class World:
    """What receivers send to: a server, a folder, and the lines on standard error so far."""

    server: FakeSlack
    folder: Path
    printed: Callable[[], list[str]]


@dataclass(frozen=True)
class Rig:
    """How to build a receiver of one kind, and how to see what reached its other end.

    `settings` stand under the kind's key; `environ` holds the secrets that they name; `method` is the name
    under which the server knows its requests, None for what does not go over HTTP; `exactly_once` says that
    it finds out by itself whether a delivery in doubt has arrived.
    """

    settings: Callable[[World], dict[str, Any]]
    arrived: Callable[[World], list[str]]
    environ: Callable[[World], dict[str, str]] = field(default=lambda world: {})
    method: str | None = None
    exactly_once: bool = False


def posts(settings: Mapping[str, Any], text: Callable[[Mapping[str, Any]], str]) -> Rig:
    """The rig of a receiver that posts JSON.

    `settings` are those beside the address, which goes under `url`, and the timeout; secrets may name the
    variables ``KEY`` (base64) and ``URL`` (the address). `text` finds an alert's text in what was posted.
    """
    return Rig(
        settings=lambda world: {"url": world.server.webhook_url("ops"), "timeout": "1s", **settings},
        arrived=lambda world: [text(request.arguments) for request in world.server.of("webhook/ops")],
        environ=lambda world: {"KEY": KEY, "URL": world.server.webhook_url("ops")},
        method="webhook/ops",
    )


RIGS: Mapping[str, Mapping[str, Rig]] = {
    "slack": {
        "token": Rig(
            settings=lambda world: {
                "channel": "#desk",
                "token": {"env": "TOKEN"},
                "api_url": world.server.api_url,
                "timeout": "1s",
            },
            environ=lambda world: {"TOKEN": world.server.token},
            arrived=lambda world: [message.text for message in world.server.workspace.messages()],
            method="chat.postMessage",
            exactly_once=True,
        ),
        "incoming": Rig(
            settings=lambda world: {"incoming_webhook": {"env": "HOOK"}, "timeout": "1s"},
            environ=lambda world: {"HOOK": world.server.hook_url},
            arrived=lambda world: [str(message["text"]) for message in world.server.workspace.hooked()],
            method=INCOMING,
        ),
    },
    "webhook": {"": posts({"secret": {"env": "KEY"}}, lambda body: str(body["text"]))},
    "console": {"": Rig(settings=lambda world: {}, arrived=lambda world: world.printed())},
    "file": {
        "": Rig(
            settings=lambda world: {"path": str(world.folder / "alerts.jsonl")},
            arrived=lambda world: (world.folder / "alerts.jsonl").read_text().splitlines(),
            exactly_once=True,
        )
    },
}
"""By kind, and by name where one kind is set up in several ways."""


def rigs_of(key: str) -> Mapping[str, Rig]:
    """The rigs of a kind.

    Raises
    ------
    LookupError
        When there are none.
    """
    if key not in RIGS:
        raise LookupError(f"no rig for receivers of kind {key!r}: add it to RIGS in {__name__}")
    return RIGS[key]


@dataclass
class Case:
    """A kind under the key it is registered as, in its rig."""

    key: str
    kind: ReceiverKind
    rig: Rig
    world: World

    @cached_property
    def settings(self) -> KindSettings:
        return self.kind.settings.model_validate(self.rig.settings(self.world))

    @cached_property
    def receiver(self) -> Receiver:
        environ = self.rig.environ(self.world)
        return self.kind.build("desk", self.settings, lambda secret: secret.resolve(environ), SystemClock())

    def deliver(self, item: Delivery) -> dict[str, str]:
        steps: dict[str, str] = {}
        self.receiver.deliver(item, steps.__setitem__)
        return steps

    def arrived(self) -> list[str]:
        return self.rig.arrived(self.world)

    def next_answer(self, answer: Answer) -> None:
        assert self.rig.method is not None
        self.world.server.script(self.rig.method, answer)


def check_registration(case: Case) -> None:
    kind = case.kind
    assert kind.name == case.key
    assert case.key != "cap", "this is a key beside the kinds"
    assert issubclass(kind.settings, KindSettings)
    assert kind.settings.model_config["frozen"]
    assert kind.settings.model_config["extra"] == "forbid"
    assert kind.settings.__doc__
    assert kind.usual_cap is None or kind.usual_cap > 0
    over_http = issubclass(kind.settings, HttpSettings)
    assert over_http == (case.rig.method is not None), "what goes over HTTP has HttpSettings and a method"


def check_unknown_settings_are_refused(case: Case) -> None:
    with pytest.raises(ValidationError):
        case.kind.settings.model_validate({**case.rig.settings(case.world), "nonsense": 1})


def check_text_arrives(case: Case) -> None:
    case.deliver(delivery(text="one trade of 512 lots"))
    assert len(case.arrived()) == 1
    assert "one trade of 512 lots" in case.arrived()[0]


def check_what_did_not_arrive_is_sent(case: Case) -> None:
    case.deliver(delivery(in_doubt=True))
    assert len(case.arrived()) == 1


def check_what_arrived_is_sent_again_only_where_it_cannot_be_looked_up(case: Case) -> None:
    case.deliver(delivery())
    case.deliver(delivery(in_doubt=True))
    assert len(case.arrived()) == (1 if case.rig.exactly_once else 2)


def check_equal_deliveries_are_equal_messages(case: Case) -> None:
    case.deliver(delivery(text="the same"))
    case.deliver(delivery(text="the same"))
    first, second = case.arrived()
    assert first == second


def check_a_delivery_is_left_as_it_is(case: Case) -> None:
    steps, earlier = {"seen": "1"}, {"seen": "0"}
    item = delivery(number=1, steps=steps, earlier=(earlier,))
    body = item.body
    case.deliver(item)
    assert (item.steps, item.earlier, item.body) == ({"seen": "1"}, ({"seen": "0"},), body)


def check_odd_bodies_arrive(case: Case) -> None:
    odd = [
        {"text": "<!channel> & \x1b[31mred\n" + "x" * 5_000},
        {"text": None, "venue": "", "symbol": "", "origin": "service", "values": {}},
        {"values": {f"feature_{n}_1h": 1e300 / (n + 1) for n in range(40)}, "symbol": "Δ" * 300},
        {"values": {"reason": None, "flag": "y" * 4_000}, "severity": "info", "transition": "resolved"},
    ]
    for number, changes in enumerate(odd):
        case.deliver(delivery(f"odd{number}", **changes))
    assert len(case.arrived()) == len(odd)


def check_secrets_show_nowhere(case: Case) -> None:
    environ = case.rig.environ(case.world)
    for _, secret in secrets_of(case.settings):
        for text in (repr(case.receiver), str(case.receiver), repr(case.settings)):
            assert secret.resolve(environ) not in text


def check_a_missing_secret_is_told_when_built(case: Case) -> None:
    if any(secrets_of(case.settings)):
        with pytest.raises(SecretError):
            case.kind.build("desk", case.settings, lambda secret: secret.resolve({}), SystemClock())


def check_429_asks_for_a_pause(case: Case) -> None:
    for after in ("7", "0", "2.5"):
        case.next_answer(rate_limited(after))
        with pytest.raises(RetryableError) as raised:
            case.deliver(delivery())
        assert raised.value.retry_after_s == float(after)
        assert not raised.value.in_doubt


def check_faults_of_the_server_can_be_retried(case: Case) -> None:
    for status in (500, 502, 503, 504, 408):
        case.next_answer(server_error(status))
        with pytest.raises(RetryableError, match=f"^http_{status}$"):
            case.deliver(delivery())
        case.deliver(delivery())
        assert case.arrived()


def check_no_answer_leaves_it_in_doubt_and_concerns_everything(case: Case) -> None:
    for answer in (hang(3.0), cut()):
        case.next_answer(answer)
        with pytest.raises(RetryableError) as raised:
            case.deliver(delivery())
        assert raised.value.in_doubt
        assert raised.value.everything


def check_other_statuses_are_permanent(case: Case) -> None:
    for status in (301, 400, 401, 403, 404, 410, 413):
        case.next_answer(server_error(status))
        with pytest.raises(PermanentError, match=f"^http_{status}$"):
            case.deliver(delivery())


def check_a_server_that_is_not_there_is_retried_without_doubt(case: Case) -> None:
    receiver = case.receiver
    case.world.server.stop()
    with pytest.raises(RetryableError) as raised:
        receiver.deliver(delivery(), lambda step, result: None)
    assert not raised.value.in_doubt
    assert raised.value.everything


def probed(case: Case) -> Probed:
    environ = case.rig.environ(case.world)
    resolve = lambda secret: secret.resolve(environ)  # noqa: E731
    return case.kind.probe("desk", case.settings, resolve, SystemClock())


def check_a_probe_says_what_it_found_and_sends_nothing(case: Case) -> None:
    found = probed(case)
    assert found.found
    assert found.found.isprintable()
    posted = {"chat.postMessage", "chat.update", INCOMING, "webhook/ops"}
    assert not [received for received in case.world.server.received if received.method in posted]
    assert not list(case.world.folder.iterdir())
    assert not case.world.printed()
    case.deliver(delivery())
    assert len(case.arrived()) == 1, "it could deliver, as it said"


def check_a_probe_keeps_secrets(case: Case) -> None:
    environ = case.rig.environ(case.world)
    secrets = [secret.resolve(environ) for _, secret in secrets_of(case.settings)]
    told = repr(probed(case))
    case.world.server.stop()
    if case.rig.method is not None:
        with pytest.raises(ReceiverError) as raised:
            probed(case)
        told += str(raised.value)
    for secret in secrets:
        assert secret not in told


def check_a_probe_tells_a_missing_secret(case: Case) -> None:
    if any(secrets_of(case.settings)):
        with pytest.raises(SecretError):
            case.kind.probe("desk", case.settings, lambda secret: secret.resolve({}), SystemClock())


def check_a_probe_tells_a_server_that_is_not_there_and_what_to_do(case: Case) -> None:
    case.world.server.stop()
    with pytest.raises(
        ReceiverError, match=r"unreachable: connection refused: check host and port"
    ) as raised:
        probed(case)
    assert raised.value.option


Check = Callable[[Case], None]

CHECKS: tuple[Check, ...] = (
    check_registration,
    check_unknown_settings_are_refused,
    check_text_arrives,
    check_what_did_not_arrive_is_sent,
    check_what_arrived_is_sent_again_only_where_it_cannot_be_looked_up,
    check_equal_deliveries_are_equal_messages,
    check_a_delivery_is_left_as_it_is,
    check_odd_bodies_arrive,
    check_secrets_show_nowhere,
    check_a_missing_secret_is_told_when_built,
    check_a_probe_says_what_it_found_and_sends_nothing,
    check_a_probe_keeps_secrets,
    check_a_probe_tells_a_missing_secret,
)
"""For every kind."""

HTTP_CHECKS: tuple[Check, ...] = (
    check_429_asks_for_a_pause,
    check_faults_of_the_server_can_be_retried,
    check_no_answer_leaves_it_in_doubt_and_concerns_everything,
    check_other_statuses_are_permanent,
    check_a_server_that_is_not_there_is_retried_without_doubt,
    check_a_probe_tells_a_server_that_is_not_there_and_what_to_do,
)
"""For kinds that are reached over HTTP."""
