"""Slack through an incoming webhook: each transition is a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from slack_sdk.webhook import WebhookClient

from alerts.clock import Clock
from alerts.receivers.http import http_url
from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.answers import error_for, quiet_logger, translated
from alerts.receivers.slack.message import called, message
from alerts.receivers.slack.slack_settings import SlackSettings
from alerts.secrets import Resolve, SecretError


class SlackWebhookReceiver:
    """Posts each transition as a message of its own.

    An incoming webhook answers with a plain ``ok``, which gives nothing to edit, to reply to or to search
    for, so a message may come twice after a crash or a timeout. A bot token has none of these limits.

    Parameters
    ----------
    client
        Slack's webhook client, without retry handlers: the sender retries.
    clock
        Wall-clock time.
    mention
        Whom it calls where a critical alert begins, as Slack's tokens.
    """

    def __init__(self, client: WebhookClient, clock: Clock, mention: Sequence[str] = ()) -> None:
        self._client = client
        self._clock = clock
        self._mention = tuple(mention)

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Post it; no steps are recorded.

        Raises
        ------
        RetryableError
            On 429 (with Slack's Retry-After), 5xx, and where no answer comes.
        PermanentError
            On any answer but ``ok``; the reason is Slack's name for it.
        """
        content = message(delivery, called(delivery, self._mention)).arguments
        with translated(self._clock.now):
            answer = self._client.send_dict(
                {**content, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
            )
        if answer.status_code == 200 and answer.body.strip() == "ok":
            return
        raise error_for(answer.status_code, answer.headers, _error(answer.body), self._clock.now())


def incoming_webhook_receiver(
    name: str, settings: SlackSettings, resolve: Resolve, clock: Clock
) -> SlackWebhookReceiver:
    """Build the receiver for an incoming webhook.

    Raises
    ------
    SecretError
        When the address is missing, or is not one.
    """
    assert settings.incoming_webhook is not None  # noqa: S101 - held by the settings' validator
    address = resolve(settings.incoming_webhook)
    try:
        http_url(address)
    except ValueError:
        # without its cause, whose text holds the address: that is the secret
        raise SecretError(f"the incoming_webhook of Slack receiver {name} is not an address") from None
    client = WebhookClient(address, timeout=settings.timeout_s, retry_handlers=[], logger=quiet_logger())
    client.proxy = settings.proxy  # else the client would use the environment's proxy for any host
    return SlackWebhookReceiver(client, clock, settings.mention)


def _error(body: str) -> str | None:
    """The name of an error: a whole plain body, or ``error`` of a JSON one."""
    try:
        answer = json.loads(body)
    except ValueError:
        text = body.strip()
        return text if text.replace("_", "").isalnum() and len(text) <= 60 else None
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, str) else None
