"""What the configuration says of receivers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerts.durations import NS_PER_SECOND, parse_duration
from alerts.secrets import Secret
from alerts.stages.cap import CapText, cap_per_minute

SLACK_API = "https://slack.com/api/"

_KINDS = ("console", "file", "slack", "webhook")
_USUAL_CAP = 20  # messages a minute: more than a person reads, and less than Slack refuses
_MAX_TIMEOUT_S = 120  # a receiver's thread must notice within this that the service is stopping


def _timeout(text: str) -> str:
    seconds = parse_duration(text) // NS_PER_SECOND
    if not 1 <= seconds <= _MAX_TIMEOUT_S:
        raise ValueError(f"{text!r} is not between 1s and {_MAX_TIMEOUT_S}s")
    return text


def http_url(text: str) -> str:
    """Check an address that alerts are posted to.

    Raises
    ------
    ValueError
        When it is not http(s), names no host, or carries a password.

    Examples
    --------
    >>> http_url("https://ops.example/hook")
    'https://ops.example/hook'
    >>> http_url("ops.example/hook")
    Traceback (most recent call last):
        ...
    ValueError: an address starts with https:// or http:// and names a host
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address starts with https:// or http:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address carries no user name or password")
    _ = parts.port  # raises ValueError where it is no number
    return text


Timeout = Annotated[str, AfterValidator(_timeout)]
HttpUrl = Annotated[str, AfterValidator(http_url)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlackSettings(_Strict):
    """A Slack channel, through a bot token, or through an incoming webhook.

    With a token an episode is one message that is edited, with a reply in its thread on resolve, and
    after a crash the channel is looked through before anything is posted again. An incoming webhook gives
    nothing back to edit or to look for: each transition is a message, and one may repeat after a crash.

    Parameters
    ----------
    channel
        Name (``#desk``) or id (``C0123456789``); with `token` only. An id saves the look-up of the name.
    token
        A bot token (``xoxb-...``) with `chat:write`, and for the look-up after a crash
        `channels:history` and `channels:read` (`groups:...` for private channels).
    incoming_webhook
        The whole address of an incoming webhook, which is a secret.
    api_url
        Slack's Web API, or something that speaks like it.
    timeout
        How long to wait for an answer.
    proxy
        An HTTP proxy; without it the environment's proxy settings hold.
    """

    channel: str | None = Field(default=None, min_length=1)
    token: Secret | None = None
    incoming_webhook: Secret | None = None
    api_url: HttpUrl = SLACK_API
    timeout: Timeout = "10s"
    proxy: HttpUrl | None = None

    @property
    def timeout_s(self) -> int:
        """`timeout` in seconds."""
        return parse_duration(self.timeout) // NS_PER_SECOND

    @model_validator(mode="after")
    def _one_way(self) -> SlackSettings:
        if self.incoming_webhook is not None:
            if self.token is not None or self.channel is not None:
                raise ValueError("give either channel and token, or incoming_webhook")
        elif self.token is None or self.channel is None:
            raise ValueError("give channel and token, or incoming_webhook")
        return self


class WebhookSettings(_Strict):
    """Anything that takes signed webhooks (https://www.standardwebhooks.com).

    Parameters
    ----------
    url
        Where to post; redirects are not followed.
    secret
        The signing key, base64, with or without ``whsec_`` before it.
    timeout
        How long to wait for a connection, and for an answer.
    proxy
        An HTTP proxy; the environment's proxy settings are not looked at.
    """

    url: HttpUrl
    secret: Secret
    timeout: Timeout = "10s"
    proxy: HttpUrl | None = None

    @property
    def timeout_s(self) -> int:
        """`timeout` in seconds."""
        return parse_duration(self.timeout) // NS_PER_SECOND


class ConsoleSettings(_Strict):
    """One line per transition on standard error."""


class FileSettings(_Strict):
    """JSON lines, appended to a file.

    Parameters
    ----------
    path
        The file; its folder must exist.
    """

    path: Path


class ReceiverSettings(_Strict):
    """One receiver: exactly one of the kinds, and how much it takes.

    Parameters
    ----------
    slack, webhook, console, file
        The kind, with its settings.
    cap
        Messages a minute, ``20/m``, or ``off``. What is beyond that waits up to a minute, and one message
        then counts and names it. Without it that is 20 a minute, and for a file, which wakes nobody, off.

    Examples
    --------
    >>> ReceiverSettings.model_validate({"file": {"path": "alerts.jsonl"}}).kind
    'file'
    """

    slack: SlackSettings | None = None
    webhook: WebhookSettings | None = None
    console: ConsoleSettings | None = None
    file: FileSettings | None = None
    cap: CapText | None = None

    @model_validator(mode="before")
    @classmethod
    def _empty_means_defaults(cls, value: Any) -> Any:
        # `console:` with nothing after it reads as null, and has nothing to set
        if isinstance(value, dict) and "console" in value and value["console"] is None:
            return {**value, "console": {}}
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> ReceiverSettings:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"a receiver is exactly one of {', '.join(_KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Its name in `alerts.receivers.registry.RECEIVERS`."""
        if self.slack is not None:
            return "slack" if self.slack.incoming_webhook is None else "slack_webhook"
        return next(name for name in ("webhook", "console", "file") if getattr(self, name) is not None)

    @property
    def messages_per_minute(self) -> int | None:
        """`cap` as a number, None for no cap.

        Examples
        --------
        >>> ReceiverSettings.model_validate({"console": {}}).messages_per_minute
        20
        """
        if self.cap is not None:
            return cap_per_minute(self.cap)
        return None if self.file is not None else _USUAL_CAP

    @property
    def of_kind(self) -> SlackSettings | WebhookSettings | ConsoleSettings | FileSettings:
        """The settings of that kind."""
        found = self.slack or self.webhook or self.console or self.file
        assert found is not None  # noqa: S101 - held by the validator
        return found
