"""Signed webhooks, as https://www.standardwebhooks.com lays them down."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import urllib3
from standardwebhooks import Webhook

from alerts.clock import Clock
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from alerts.receivers.retry_after import retry_after_s
from alerts.receivers.settings import WebhookSettings
from alerts.secrets import Resolve, SecretError

_RETRYABLE = frozenset({408, 425, 429})
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what the standard puts before a key
_READ_BYTES = 65_536  # of an answer nobody looks at; read so that the connection can be used again

_UNREACHED = (
    urllib3.exceptions.NewConnectionError,  # name resolution included
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.SSLError,
)


class WebhookReceiver:
    """Posts an alert's stored body as it is, signed; its key is the `webhook-id`.

    A receiver that keeps the ids it has seen gets every transition once; others may see one twice after
    a crash or a time-out, under the same id.

    Parameters
    ----------
    url
        Where to post.
    webhook
        Signs.
    clock
        The time that is signed along.
    timeout_s
        For connecting, and again for each wait for the answer.
    proxy
        An HTTP proxy, None for none.
    """

    def __init__(
        self, url: str, webhook: Webhook, clock: Clock, timeout_s: float, proxy: str | None = None
    ) -> None:
        self._url = url
        self._webhook = webhook
        self._clock = clock
        timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._http: urllib3.PoolManager = (
            urllib3.PoolManager(timeout=timeout, retries=False)
            if proxy is None
            else urllib3.ProxyManager(proxy, timeout=timeout, retries=False)
        )

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Post it; there are no steps to record, the receiver tells repetitions by the id.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx, and where no answer comes.
        PermanentError
            On any other answer but 2xx; redirects are not followed.
        """
        try:
            response = self._http.request(
                "POST",
                self._url,
                body=delivery.body,
                headers=self._headers(delivery),
                redirect=False,
                preload_content=False,
            )
        except _UNREACHED as error:
            raise RetryableError(_name(error), everything=True) from error
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(_name(error), in_doubt=True, everything=True) from error
        status, after = response.status, response.headers.get("Retry-After")
        _finish(response)
        if 200 <= status < 300:
            return
        if status in _RETRYABLE or status >= 500:
            raise RetryableError(
                f"http_{status}", retry_after_s(after, self._clock.now()), in_doubt=status >= 500
            )
        raise PermanentError(f"http_{status}")

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        now = datetime.fromtimestamp(int(self._clock.now()), UTC)
        return {
            "content-type": "application/json",
            "user-agent": "tapewatch",
            "webhook-id": delivery.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.key, now, delivery.body.decode()),
        }


def webhook(name: str, settings: WebhookSettings, resolve: Resolve, clock: Clock) -> WebhookReceiver:
    """Build the receiver that the settings describe.

    Raises
    ------
    SecretError
        When the secret cannot be had, or is not base64.
    """
    secret = resolve(settings.secret).removeprefix(_SECRET_PREFIX)
    try:
        # checked here, since the signer would pass over whatever is not base64
        key = base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except ValueError as error:
        raise SecretError(f"the secret of webhook {name} is not base64 (after {_SECRET_PREFIX})") from error
    if not key:
        raise SecretError(f"the secret of webhook {name} is empty (after {_SECRET_PREFIX})")
    return WebhookReceiver(settings.url, Webhook(key), clock, settings.timeout_s, settings.proxy)


def _name(error: Exception) -> str:
    return type(error).__name__.removesuffix("Error").lower()


def _finish(response: urllib3.BaseHTTPResponse) -> None:
    """Leave the connection fit for another request; the status is known, so nothing here can matter."""
    try:
        read = response.read(_READ_BYTES, decode_content=False)
    except urllib3.exceptions.HTTPError:
        response.close()
        return
    if len(read) < _READ_BYTES:
        response.release_conn()
    else:
        response.close()
