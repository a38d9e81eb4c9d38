"""Slack through an incoming webhook: each transition is a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alerts.clock import Clock
from alerts.receivers.http import http_url
from alerts.receivers.kind import Probed
from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.clients import BoundedWebhookClient
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
        The webhook, which raises what the sender handles.
    mention
        Whom it calls where a critical alert begins, as Slack's tokens.
    """

    def __init__(self, client: BoundedWebhookClient, mention: Sequence[str] = ()) -> None:
        self._client = client
        self._mention = tuple(mention)

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
        """Post it; no steps are recorded.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx (after their Retry-After), and where no answer comes.
        PermanentError
            On any answer but success, redirects included; the reason is Slack's name for it. It is in doubt
            after a 2xx that says neither success nor an error: sent again, it might be there twice.
        """
        content = message(delivery, called(delivery, self._mention)).arguments
        posted = {**content, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        answer = self._client.send_dict(posted)
        return f"answered {answer.status_code}"

    def probe(self) -> Probed:
        """Connect and send nothing: only a post would tell whether the webhook was revoked.

        Raises
        ------
        ReceiverError
            When there is no connection.
        """
        return Probed(
            f"connected to {self._client.connect()}, nothing posted",
            ("only a post tells whether an incoming webhook was revoked: `tapewatch try`",),
        )


def incoming_webhook_receiver(
    name: str, settings: SlackSettings, resolve: Resolve, clock: Clock
) -> SlackWebhookReceiver:
    """Build the receiver for an incoming webhook.

    Raises
    ------
    SecretError
        When the address is missing, or is not one.
    ReceiverError
        When it cannot work as it is configured.
    """
    assert settings.incoming_webhook is not None  # noqa: S101 - held by the settings' validator
    address = resolve(settings.incoming_webhook)
    try:
        http_url(address)
    except ValueError:
        # without its cause, whose text holds the address: that is the secret
        raise SecretError(f"the incoming_webhook of Slack receiver {name} is not an address") from None
    return SlackWebhookReceiver(BoundedWebhookClient(address, settings, clock), settings.mention)
