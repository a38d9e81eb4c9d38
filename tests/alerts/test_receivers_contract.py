"""Every registered receiver keeps to the contract, and the contract catches those that do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contracts import receivers as contract
from contracts.receivers import CHECKS, HTTP_CHECKS, RIGS, Case, Check, Rig, World, posts, rigs_of
from contracts.refused import refused
from fakes.slack import FakeSlack
from pydantic import BaseModel

from alerts.clock import Clock
from alerts.receivers.body import read_body
from alerts.receivers.http import HttpSettings, HttpUrl
from alerts.receivers.http_post import HttpPost
from alerts.receivers.kind import Probed, ReceiverKind
from alerts.receivers.receiver import Delivery, PermanentError, Receiver
from alerts.receivers.registry import RECEIVERS, ReceiverSettings
from alerts.secrets import Resolve, Secret

# a kind without a rig has one case, which fails for want of it
EVERY = [(key, name) for key in RECEIVERS for name in RIGS.get(key, ("no rig",))]
OVER_HTTP = [(key, name) for key, name in EVERY if key not in RIGS or rigs_of(key)[name].method is not None]


def called(case: object) -> str:
    return "-".join(filter(None, case)) if isinstance(case, tuple) else case.__name__.removeprefix("check_")


@pytest.fixture
def world(slack_server: FakeSlack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    lines: list[str] = []

    def printed() -> list[str]:
        lines.extend(capsys.readouterr().err.splitlines())
        return lines

    return World(slack_server, tmp_path, printed)


@pytest.mark.parametrize("check", CHECKS, ids=called)
@pytest.mark.parametrize("of", EVERY, ids=called)
def test_every_receiver(of: tuple[str, str], check: Check, world: World) -> None:
    key, name = of
    check(Case(key, RECEIVERS[key], rigs_of(key)[name], world))


@pytest.mark.parametrize("check", HTTP_CHECKS, ids=called)
@pytest.mark.parametrize("of", OVER_HTTP, ids=called)
def test_every_receiver_over_http(of: tuple[str, str], check: Check, world: World) -> None:
    key, name = of
    check(Case(key, RECEIVERS[key], rigs_of(key)[name], world))


@pytest.mark.parametrize("of", EVERY, ids=called)
def test_every_receiver_can_be_configured(of: tuple[str, str], world: World) -> None:
    key, name = of
    settings = rigs_of(key)[name].settings(world)
    read = ReceiverSettings.model_validate({key: settings})
    assert (read.kind, type(read.of_kind)) == (key, RECEIVERS[key].settings)


def test_settings_are_read_without_the_libraries_that_deliver() -> None:
    script = """
import sys, annotated_types, pydantic, alerts.stages.cap
def packages(): return {name.partition(".")[0] for name in sys.modules if name[0] != "_"}
before = packages()
import alerts.receivers.registry
print(*sorted(packages() - before - sys.stdlib_module_names))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], "import them in the receiver's function that builds it"


# ------------------------------------------------------------- receivers that are wrong on purpose


class NoteSettings(HttpSettings):
    """Posts a note."""

    url: HttpUrl
    key: Secret


class Notes:
    """A receiver that keeps to the contract."""

    def __init__(self, http: HttpPost, key: str) -> None:
        self._http = http
        self.key = key

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        self._http.post(self.note(delivery), {})

    def note(self, delivery: Delivery) -> bytes:
        return delivery.body


def building(kind: Callable[[HttpPost, str], Receiver]) -> Callable[..., Receiver]:
    def build(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Receiver:
        return kind(HttpPost(settings.url, settings, clock), resolve(settings.key))

    return build


def probe(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Probed:
    resolve(settings.key)
    return Probed(HttpPost(settings.url, settings, clock).connect())


def posts_to_find_out(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Probed:
    HttpPost(settings.url, settings, clock).post(b"{}", {})
    return probe(name, settings, resolve, clock)


def shows_its_key(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Probed:
    return Probed(f"{probe(name, settings, resolve, clock).found} with {resolve(settings.key)}")


def looks_at_nothing(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Probed:
    return Probed("fine")


RIGHT = ReceiverKind("note", NoteSettings, building(Notes), probe)
RIG = posts({"key": {"env": "KEY"}}, lambda body: str(body.get("text")))


class SaysNothing(Notes):
    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Leave it."""


class LosesTheText(Notes):
    def note(self, delivery: Delivery) -> bytes:
        return b"{}"


class ShowsItsKey(Notes):
    def __repr__(self) -> str:
        return f"<Notes with {self.key}>"


class Counts(Notes):
    sent = 0

    def note(self, delivery: Delivery) -> bytes:
        self.sent += 1
        return delivery.body.replace(b'"text":"', b'"text":"%d ' % self.sent)


class WritesIntoTheDelivery(Notes):
    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        super().deliver(delivery, record)
        delivery.steps["posted"] = "1"  # type: ignore[index]


class ChokesOnEmptyTexts(Notes):
    def note(self, delivery: Delivery) -> bytes:
        assert read_body(delivery).text
        return delivery.body


class GivesUp(Notes):
    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        try:
            super().deliver(delivery, record)
        except Exception as error:
            raise PermanentError("no") from error


class GoesOnTrying(Notes):
    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        try:
            super().deliver(delivery, record)
        except PermanentError as error:
            raise contract.RetryableError(str(error)) from error


def out_of_order(name: str, settings: Any, resolve: Resolve, clock: Clock) -> Receiver:
    raise RuntimeError("out of order")


def asks_late(name: str, settings: NoteSettings, resolve: Resolve, clock: Clock) -> Receiver:
    return Notes(HttpPost(settings.url, settings, clock), "")


class LooseSettings(NoteSettings, extra="allow"):
    """Takes anything."""


class OwnSettings(BaseModel):
    """Not a receiver's."""

    url: str
    key: Secret
    timeout_s: int = 1
    proxy: None = None


def of(kind: Callable[[HttpPost, str], Receiver]) -> ReceiverKind:
    return replace(RIGHT, build=building(kind))


WRONG: list[tuple[ReceiverKind, Check, type[Exception] | None]] = [
    (replace(RIGHT, build=out_of_order), contract.check_text_arrives, RuntimeError),
    (replace(RIGHT, name="notes"), contract.check_registration, None),
    (replace(RIGHT, settings=OwnSettings), contract.check_registration, None),
    (replace(RIGHT, settings=LooseSettings), contract.check_unknown_settings_are_refused, None),
    (replace(RIGHT, build=asks_late), contract.check_a_missing_secret_is_told_when_built, None),
    (of(SaysNothing), contract.check_text_arrives, None),
    (of(LosesTheText), contract.check_text_arrives, None),
    (of(Counts), contract.check_equal_deliveries_are_equal_messages, None),
    (of(WritesIntoTheDelivery), contract.check_a_delivery_is_left_as_it_is, None),
    (of(ChokesOnEmptyTexts), contract.check_odd_bodies_arrive, None),
    (of(ShowsItsKey), contract.check_secrets_show_nowhere, None),
    (
        replace(RIGHT, probe=posts_to_find_out),
        contract.check_a_probe_says_what_it_found_and_sends_nothing,
        None,
    ),
    (replace(RIGHT, probe=shows_its_key), contract.check_a_probe_keeps_secrets, None),
    (replace(RIGHT, probe=looks_at_nothing), contract.check_a_probe_tells_a_missing_secret, None),
    (
        replace(RIGHT, probe=looks_at_nothing),
        contract.check_a_probe_tells_a_server_that_is_not_there_and_what_to_do,
        None,
    ),
    (of(GivesUp), contract.check_faults_of_the_server_can_be_retried, PermanentError),
    (of(GoesOnTrying), contract.check_other_statuses_are_permanent, contract.RetryableError),
]


def of_note(world: World, kind: ReceiverKind = RIGHT, rig: Rig = RIG) -> Case:
    return Case("note", kind, rig, world)


@pytest.mark.parametrize("check", [*CHECKS, *HTTP_CHECKS], ids=called)
def test_a_receiver_that_is_right_passes(check: Check, world: World) -> None:
    check(of_note(world))


@pytest.mark.parametrize(("kind", "check", "because"), WRONG)
def test_a_receiver_that_is_wrong_is_caught(
    kind: ReceiverKind, check: Check, because: type[Exception] | None, world: World
) -> None:
    with refused(because):
        check(of_note(world, kind))


def test_a_receiver_over_http_does_not_get_around_its_checks(world: World) -> None:
    with refused():
        contract.check_registration(of_note(world, rig=replace(RIG, method=None)))


def test_a_kind_without_a_rig_is_refused() -> None:
    with pytest.raises(LookupError, match="no rig for receivers of kind 'note'"):
        rigs_of("note")
