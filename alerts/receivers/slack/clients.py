"""Slack's clients with a transport of our own: a deadline for the whole call, and no redirects.

Slack's package builds requests and hands out answers; it would send them with urllib, which follows redirects
with the token in them, and waits without end for an answer that comes byte by byte.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

from slack_sdk import WebClient
from slack_sdk.webhook import WebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse

from alerts.clock import Clock
from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_client import HttpAnswer, HttpClient
from alerts.receivers.http_probe import connected
from alerts.receivers.http_proxy import HttpProxy, proxy_of_environment
from alerts.receivers.http_tls import server_context
from alerts.receivers.redaction import Redaction
from alerts.receivers.slack.answers import checked_api_answer, checked_hook_answer
from alerts.receivers.slack.slack_settings import SlackSettings

_MOST_API_BYTES = 16 * 1024 * 1024  # a page of 200 messages of the longest kind is a few million
_MOST_HOOK_BYTES = 65_536

_API_HOOK = "_perform_urllib_http_request_internal"
_WEBHOOK_HOOK = "_perform_http_request_internal"


class BoundedWebClient(WebClient):
    """Slack's Web API; every answer that is not `ok` raises what the sender handles.

    Parameters
    ----------
    token
        The bot's.
    settings
        Address, timeout, proxy, and whom to trust.
    clock
        Wall-clock time.

    Raises
    ------
    ReceiverError
        When it could not work: a file is missing, or Slack's package has changed.
    """

    def __init__(self, token: str, settings: SlackSettings, clock: Clock) -> None:
        _require(WebClient, _API_HOOK)
        super().__init__(
            token=token,
            base_url=settings.api_url,
            retry_handlers=[],  # the sender retries
            logger=_quiet_logger(),
        )
        self._http = _http_client(settings.api_url, settings, "api_url", token)
        self._clock = clock

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        answer = _sent(self._http, url, req, _MOST_API_BYTES)
        method = urlsplit(url).path.rpartition("/")[2]
        checked_api_answer(method, answer, self._http.shown, self._clock.now())
        return {"status": answer.status, "headers": answer.headers, "body": answer.text}


class BoundedWebhookClient(WebhookClient):
    """An incoming webhook; every answer but success raises what the sender handles.

    Parameters
    ----------
    address
        The webhook's, which is a secret.
    settings
        Timeout, proxy, and whom to trust.
    clock
        Wall-clock time.

    Raises
    ------
    ReceiverError
        When it could not work: a file is missing, or Slack's package has changed.
    """

    def __init__(self, address: str, settings: SlackSettings, clock: Clock) -> None:
        _require(WebhookClient, _WEBHOOK_HOOK)
        super().__init__(address, retry_handlers=[], logger=_quiet_logger())
        self._http = _http_client(address, settings, "incoming_webhook", address)
        self._clock = clock
        self._accepts = settings.accepts

    def connect(self) -> str:
        """Connect and send nothing; where to, for people.

        Raises
        ------
        ReceiverError
            When there is no connection.
        """
        return connected(self._http, self.url, "incoming_webhook")

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        answer = _sent(self._http, url, req, _MOST_HOOK_BYTES)
        checked_hook_answer(answer, self._http.shown, self._clock.now(), self._accepts)
        return WebhookResponse(
            url=url, status_code=answer.status, body=answer.text, headers=dict(answer.headers)
        )


def _sent(http: HttpClient, url: str, request: Request, most: int) -> HttpAnswer:
    body = request.data
    assert body is None or isinstance(body, bytes)  # noqa: S101 - the package encodes it
    headers = {name.lower(): str(value) for name, value in request.header_items()}
    return http.post(url, body or b"", headers, most)


def _http_client(url: str, settings: SlackSettings, option: str, secret: str) -> HttpClient:
    proxy = (
        proxy_of_environment(url, settings.ca)
        if settings.proxy is None
        else HttpProxy(settings.proxy, {}, settings.ca)
    )
    hidden = [secret, *(() if proxy is None else proxy.headers.values())]
    return HttpClient(settings.timeout_s, server_context(settings.ca), proxy, option, Redaction(hidden))


def _require(client: type, hook: str) -> None:
    if not hasattr(client, hook):  # without it the package would send by itself again
        raise ReceiverError(
            f"this version of slack-sdk has no {client.__name__}.{hook}: install an older one"
        )


def _quiet_logger() -> logging.Logger:
    """A silent logger for Slack's client, which would log addresses, and those can be secrets."""
    logger = logging.getLogger("alerts.receivers.slack_client")
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger
