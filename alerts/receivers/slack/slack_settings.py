"""Settings of a Slack receiver."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from alerts.mentions import Mentions
from alerts.receivers.http import HttpSettings, HttpUrl
from alerts.receivers.slack.channel_names import checked_channel
from alerts.secrets import Secret

SLACK_API = "https://slack.com/api/"


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_SEVERAL = BeforeValidator(_several)


class SlackSettings(HttpSettings):
    """A Slack channel, through a bot token or through an incoming webhook.

    With a token an episode is one message that is edited, with a reply in its thread on resolve, and
    after a crash the channel is searched before anything is posted again. An incoming webhook gives
    nothing back to edit or to search: each transition is a message, and one may repeat after a crash.

    Parameters
    ----------
    channel
        Name (``#desk``) or id (``C0123456789``); with `token` only. An id saves the look-up of the name.
    token
        A bot token (``xoxb-...``) with `chat:write`, and for the search after a crash
        `channels:history` and `channels:read` (`groups:...` for private channels).
    incoming_webhook
        The whole address of an incoming webhook, which is a secret.
    api_url
        Slack's Web API, or a server that speaks it.
    accepts
        What a server in Slack's place answers an incoming webhook to say yes, beside ``ok``: a text, or a
        JSON object whose keys the answer has, such as ``{"success": true}`` of Rocket.Chat.
    mention
        Whom it calls where a critical alert begins, or an alert becomes critical: ``@here``, ``@channel``,
        ``@everyone``, ``<!subteam^S...>`` for a user group, ``<@U...>`` for a person.
    timeout
        For the whole of each call: connecting, sending, and the answer to its end. A delivery takes one or
        two calls, and more where it looks for an earlier one.
    proxy
        An HTTP proxy; without it the environment's proxy settings apply.
    ca
        PEM file of the certificates to trust, in place of the system's: for a server of your own, or a proxy
        that inspects TLS.
    """

    channel: str | None = Field(default=None, min_length=1)
    token: Secret | None = None
    incoming_webhook: Secret | None = None
    api_url: HttpUrl = SLACK_API
    accepts: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], _SEVERAL] = ()
    mention: Mentions = ()

    @field_validator("mention", mode="before")
    @classmethod
    def _nobody(cls, mention: object) -> object:
        return () if mention is None else mention

    @field_validator("channel")
    @classmethod
    def _known_to_slack(cls, channel: str | None) -> str | None:
        return None if channel is None else checked_channel(channel)

    @field_validator("api_url")
    @classmethod
    def _takes_methods(cls, url: str) -> str:
        if "?" in url or "#" in url:
            raise ValueError("methods' names are appended to it: leave out what begins with ? or #")
        return url

    @model_validator(mode="after")
    def _one_way(self) -> SlackSettings:
        if self.accepts and self.incoming_webhook is None:
            raise ValueError("accepts is for an incoming_webhook: the Web API's answers are known")
        if self.incoming_webhook is not None:
            if self.token is not None or self.channel is not None:
                raise ValueError("give either channel and token, or incoming_webhook")
        elif self.token is None or self.channel is None:
            raise ValueError("give channel and token, or incoming_webhook")
        return self
