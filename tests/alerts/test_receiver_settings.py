"""What can be said of receivers and secrets, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from alerts.receivers.registry import ReceiverSettings
from alerts.secrets import Secret, SecretError

TOKEN = {"env": "SLACK_BOT_TOKEN"}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"slack": {"channel": "#desk", "token": TOKEN}}, "slack"),
        ({"slack": {"channel": "C0123456789", "token": TOKEN, "timeout": "30s"}}, "slack"),
        ({"slack": {"incoming_webhook": {"file": "/run/secrets/hook"}}}, "slack"),
        ({"slack": {"incoming_webhook": TOKEN, "mention": "@here"}}, "slack"),
        ({"slack": {"incoming_webhook": TOKEN, "mention": None}}, "slack"),
        (
            {"slack": {"channel": "#desk", "token": TOKEN, "mention": ["<!subteam^S0A1B2>", "<@U0A1>"]}},
            "slack",
        ),
        ({"webhook": {"url": "https://ops.example/hook", "secret": TOKEN, "timeout": "2m"}}, "webhook"),
        ({"console": {}}, "console"),
        ({"console": None}, "console"),
        ({"file": {"path": "alerts.jsonl"}}, "file"),
    ],
)
def test_settings_of_every_kind(settings: dict[str, Any], kind: str) -> None:
    assert ReceiverSettings.model_validate(settings).kind == kind


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "a receiver is exactly one of"),
        ({"console": {}, "file": {"path": "x"}}, "a receiver is exactly one of"),
        ({"email": {}}, "Extra inputs"),
        ({"slack": {"channel": "#desk"}}, "give channel and token, or incoming_webhook"),
        ({"slack": {"token": TOKEN}}, "give channel and token, or incoming_webhook"),
        ({"slack": {"channel": "#d", "token": TOKEN, "incoming_webhook": TOKEN}}, "give either"),
        ({"slack": {"channel": "#d", "token": "xoxb-1"}}, "a secret is not written here: give {env: NAME}"),
        ({"slack": {"channel": "#d", "token": {"env": "A", "file": "b"}}}, "a secret has one source"),
        ({"slack": {"channel": "#d", "token": {}}}, "a secret has one source"),
        ({"slack": {"channel": "#d", "token": TOKEN, "timeout": "10"}}, "is not a duration"),
        ({"slack": {"channel": "#d", "token": TOKEN, "timeout": "1h"}}, "is not between 1s and 120s"),
        (
            {"slack": {"incoming_webhook": TOKEN, "mention": "@her"}},
            r"'@her' is not a mention \(did you mean '@here'",
        ),
        ({"slack": {"incoming_webhook": TOKEN, "mention": ["@desk"]}}, "write @here, .* a user group"),
        ({"slack": {"incoming_webhook": TOKEN, "mention": ["<!subteam^desk>"]}}, "is not a mention"),
        ({"slack": {"incoming_webhook": TOKEN, "mention": ["<!here> and"]}}, "is not a mention"),
        (
            {"slack": {"incoming_webhook": TOKEN, "mention": 5}},
            "5 is no mention, nor a list of them: write @h",
        ),
        ({"slack": {"incoming_webhook": TOKEN, "mention": ["@here", 5]}}, "is no mention, nor a list"),
        ({"slack": {"channel": "#d", "token": TOKEN, "api_url": "https://h/api?x=1"}}, "begins with . or #"),
        ({"slack": {"channel": "#d", "token": TOKEN, "api_url": "https://h/api/#f"}}, "begins with . or #"),
        ({"webhook": {"url": "ops.example", "secret": TOKEN}}, "an address starts with https://"),
        ({"webhook": {"url": "https://me:pw@ops.example", "secret": TOKEN}}, "no user name or password"),
        ({"webhook": {"url": "https://ops.example"}}, "Field required"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ReceiverSettings.model_validate(settings)


def test_a_plain_secret_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Secret).validate_python("xoxb-1234")
    assert "xoxb-1234" not in str(raised.value)


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    place = tmp_path / "token"
    place.write_text("xoxb-1\n")
    assert Secret(env="TOKEN").resolve({"TOKEN": " xoxb-2\n"}) == "xoxb-2"
    assert Secret(file=place).resolve({}) == "xoxb-1"


def test_secrets_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text(" \n")
    for secret, problem in [
        (Secret(env="TOKEN"), "environment variable TOKEN is not set"),
        (Secret(file=tmp_path / "gone"), "gone cannot be read: No such file"),
        (Secret(file=tmp_path), "is a folder: name a regular file"),
        (Secret(file=tmp_path / "binary"), "binary is not UTF-8 text"),
        (Secret(file=tmp_path / "empty"), "empty is empty"),
    ]:
        with pytest.raises(SecretError, match=problem):
            secret.resolve({})
    with pytest.raises(SecretError, match="environment variable TOKEN is empty"):
        Secret(env="TOKEN").resolve({"TOKEN": ""})
