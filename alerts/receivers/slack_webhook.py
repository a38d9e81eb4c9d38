"""Slack through an incoming webhook: each transition is a message."""

from __future__ import annotations

import json
from collections.abc import Callable

from slack_sdk.webhook import WebhookClient

from alerts.clock import Clock
from alerts.receivers.receiver import Delivery
from alerts.receivers.settings import SlackSettings, http_url
from alerts.receivers.slack_errors import error_for, quiet_logger, translated
from alerts.receivers.slack_message import message
from alerts.secrets import Resolve, SecretError


class SlackWebhookReceiver:
    """Posts each transition as a message of its own.

    An incoming webhook answers with a plain ``ok``: there is nothing to edit, to reply to or to look for,
    so a message may come twice after a crash or a time-out. A bot token has none of these limits.

    Parameters
    ----------
    client
        Slack's webhook client; without retry handlers, the sender retries.
    clock
        Wall-clock time.
    """

    def __init__(self, client: WebhookClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Post it; there are no steps to record.

        Raises
        ------
        RetryableError
            On 429 (with Slack's Retry-After), 5xx, and where no answer comes.
        PermanentError
            On any other answer than ``ok``; the reason is Slack's name for it.
        """
        shown = message(delivery)
        with translated(self._clock.now):
            answer = self._client.send(
                text=shown.text,
                blocks=[dict(block) for block in shown.blocks],
                unfurl_links=False,
                unfurl_media=False,
            )
        if answer.status_code == 200 and answer.body.strip() == "ok":
            return
        raise error_for(answer.status_code, answer.headers, _error(answer.body), self._clock.now())


def slack_webhook(name: str, settings: SlackSettings, resolve: Resolve, clock: Clock) -> SlackWebhookReceiver:
    """Build the receiver that the settings describe.

    Raises
    ------
    SecretError
        When the address cannot be had, or is none.
    """
    assert settings.incoming_webhook is not None  # noqa: S101 - held by the settings' validator
    address = resolve(settings.incoming_webhook)
    try:
        http_url(address)
    except ValueError:
        # without its cause: the address is the secret
        raise SecretError(f"the incoming_webhook of Slack receiver {name} is not an address") from None
    client = WebhookClient(address, timeout=settings.timeout_s, retry_handlers=[], logger=quiet_logger())
    client.proxy = settings.proxy  # left to itself the client takes a proxy from the environment for any host
    return SlackWebhookReceiver(client, clock)


def _error(body: str) -> str | None:
    """The name of an error: the whole of a plain body, or ``error`` of a JSON one."""
    try:
        answer = json.loads(body)
    except ValueError:
        text = body.strip()
        return text if text.replace("_", "").isalnum() and len(text) <= 60 else None
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, str) else None
