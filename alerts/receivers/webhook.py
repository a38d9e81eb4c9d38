"""Signed webhooks, as https://www.standardwebhooks.com specifies them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from alerts.clock import Clock
from alerts.plain_text import one_line
from alerts.receivers.http import HttpSettings, HttpUrl
from alerts.receivers.http_headers import Headers, resolved_headers
from alerts.receivers.kind import Probed, ReceiverKind
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
    headers
        Further headers; a value that is a secret is given as ``{env: NAME}`` or ``{file: PATH}``.
    timeout
        For the whole of each request: connecting, sending, and the answer to its end.
    proxy
        An HTTP proxy; the environment's proxy settings are ignored.
    ca
        PEM file of the certificates to trust, in place of the system's.
    client_cert, client_key, client_key_password
        PEM files of the certificate and the key with which to log in, where the server asks for them.
    """

    url: HttpUrl
    secret: Secret
    headers: Headers = Field(default_factory=dict)
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: Secret | None = None

    @model_validator(mode="after")
    def _key_belongs_to_certificate(self) -> WebhookSettings:
        if self.client_cert is None and (self.client_key is not None or self.client_key_password is not None):
            raise ValueError("a key needs its certificate: give client_cert too")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a receiver reads when it is built."""
        own = (self.client_cert, self.client_key)
        return (*super().files, *(path for path in own if path is not None))


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
    headers
        Sent with each.
    """

    def __init__(
        self, http: HttpPost, webhook: Webhook, clock: Clock, headers: Mapping[str, str] | None = None
    ) -> None:
        self._http = http
        self._webhook = webhook
        self._clock = clock
        self._headers = dict(headers or {})

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
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
            **self._headers,
            "webhook-id": delivery.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.key, now, delivery.body.decode()),
        }
        if delivery.behind_s is not None:
            headers["tapewatch-behind"] = str(max(round(delivery.behind_s), 0))
        if delivery.note:
            headers["tapewatch-note"] = (
                one_line(" ".join(delivery.note.split())).encode("ascii", "replace").decode()
            )
        return self._http.post(delivery.body, headers)

    def connect(self) -> str:
        """Connect and send nothing; where to, for people.

        Raises
        ------
        ReceiverError
            When there is no connection.
        """
        return self._http.connect()


def _build(name: str, settings: WebhookSettings, resolve: Resolve, clock: Clock) -> WebhookReceiver:
    from standardwebhooks import Webhook

    from alerts.receivers.http_post import HttpPost
    from alerts.receivers.http_tls import ClientIdentity

    key = _signing_key(resolve(settings.secret), name)
    headers, secrets = resolved_headers(settings.headers, resolve, f"webhook {name}")
    identity = None
    if settings.client_cert is not None:
        password = None if settings.client_key_password is None else resolve(settings.client_key_password)
        identity = ClientIdentity(settings.client_cert, settings.client_key, password)
    hidden = (*secrets, resolve(settings.secret), resolve(settings.secret).removeprefix(_SECRET_PREFIX))
    http = HttpPost(settings.url, settings, clock, identity=identity, secrets=hidden)
    return WebhookReceiver(http, Webhook(key), clock, headers)


def _signing_key(secret: str, name: str) -> bytes:
    secret = secret.removeprefix(_SECRET_PREFIX)
    try:
        # checked here, since the signer silently skips characters that are not base64
        key = base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except ValueError as error:
        raise SecretError(
            f"the secret of webhook {name} is not base64 (after {_SECRET_PREFIX})", "secret"
        ) from error
    if not key:
        raise SecretError(f"the secret of webhook {name} is empty (after {_SECRET_PREFIX})", "secret")
    return key


def _probe(name: str, settings: WebhookSettings, resolve: Resolve, clock: Clock) -> Probed:
    return Probed(f"connected to {_build(name, settings, resolve, clock).connect()}, nothing posted")


RECEIVER = ReceiverKind("webhook", WebhookSettings, _build, _probe)
