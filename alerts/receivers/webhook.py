"""Signed webhooks, as https://www.standardwebhooks.com specifies them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alerts.clock import Clock
from alerts.receivers.http import HttpSettings, HttpUrl
from alerts.receivers.kind import ReceiverKind
from alerts.receivers.receiver import Delivery
from alerts.secrets import Resolve, Secret, SecretError

if TYPE_CHECKING:
    from standardwebhooks import Webhook

    from alerts.receivers.http_post import HttpPost

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the standard's prefix of a key


class WebhookSettings(HttpSettings):
    """Anything that takes signed webhooks (https://www.standardwebhooks.com).

    Parameters
    ----------
    url
        Where to post; redirects are not followed.
    secret
        The signing key, base64, with or without ``whsec_`` before it.
    timeout
        For connecting, and again for each wait for the answer.
    proxy
        An HTTP proxy; the environment's proxy settings are ignored.
    """

    url: HttpUrl
    secret: Secret


class WebhookReceiver:
    """Posts an alert's stored body unchanged and signed; its `webhook-id` is the idempotency key.

    A server that remembers the ids it has seen gets every transition once. Others may see one twice, under
    the same id, after a crash or a timeout.

    Parameters
    ----------
    http
        Where to post.
    webhook
        Signs.
    clock
        Gives the time that is part of the signature.
    """

    def __init__(self, http: HttpPost, webhook: Webhook, clock: Clock) -> None:
        self._http = http
        self._webhook = webhook
        self._clock = clock

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Post it. No steps are recorded: the server recognises a repetition by its id.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx, and where no answer comes.
        PermanentError
            On any other answer but 2xx.
        """
        now = datetime.fromtimestamp(int(self._clock.now()), UTC)
        headers = {
            "webhook-id": delivery.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.key, now, delivery.body.decode()),
        }
        self._http.post(delivery.body, headers)


def _build(name: str, settings: WebhookSettings, resolve: Resolve, clock: Clock) -> WebhookReceiver:
    from standardwebhooks import Webhook

    from alerts.receivers.http_post import HttpPost

    secret = resolve(settings.secret).removeprefix(_SECRET_PREFIX)
    try:
        # checked here, since the signer silently skips characters that are not base64
        key = base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except ValueError as error:
        raise SecretError(f"the secret of webhook {name} is not base64 (after {_SECRET_PREFIX})") from error
    if not key:
        raise SecretError(f"the secret of webhook {name} is empty (after {_SECRET_PREFIX})")
    return WebhookReceiver(HttpPost(settings.url, settings, clock), Webhook(key), clock)


RECEIVER = ReceiverKind("webhook", WebhookSettings, _build)
