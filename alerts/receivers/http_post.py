"""Posts a delivery over HTTP, and tells the sender what the answer means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerts.clock import Clock
from alerts.receivers.http import HttpSettings
from alerts.receivers.http_client import HttpAnswer, HttpClient
from alerts.receivers.http_probe import connected
from alerts.receivers.http_proxy import HttpProxy
from alerts.receivers.http_tls import ClientIdentity, server_context
from alerts.receivers.receiver import PermanentError, RetryableError
from alerts.receivers.redaction import Redaction
from alerts.receivers.retry_after import asked_to_wait_s

_RETRYABLE = frozenset({408, 425, 429})
_READ_BYTES = 65_536  # a longer answer closes the connection instead of being read to its end


class HttpPost:
    """Posts to one address. Redirects and the environment's proxy settings are ignored.

    Parameters
    ----------
    url
        Where to post.
    settings
        Timeout, proxy, and whom to trust.
    clock
        Wall-clock time, to read a date in ``Retry-After``.
    identity
        The certificate of this client, None for none.
    secrets
        What is sent and must not be shown, should an answer repeat it.

    Raises
    ------
    ReceiverError
        When a file of a certificate or a key cannot be used.
    """

    def __init__(
        self,
        url: str,
        settings: HttpSettings,
        clock: Clock,
        *,
        identity: ClientIdentity | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self._url = url
        self._clock = clock
        tls = server_context(settings.ca, identity)
        proxy = None if settings.proxy is None else HttpProxy(settings.proxy, {}, settings.ca)
        self._http = HttpClient(settings.timeout_s, tls, proxy, "url", Redaction(secrets))

    def post(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Post JSON; returns once a 2xx answer has come.

        Parameters
        ----------
        body
            JSON.
        headers
            Sent in addition to the content type and the user agent; these are replaced by those of the
            same name, in lower case.

        Returns
        -------
        str
            The answer, fit to be shown.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx, and where no answer comes. It is in doubt after 5xx, and after a
            request that was sent and not answered.
        PermanentError
            On any other answer, redirects included.
        """
        sent = {"content-type": "application/json", "user-agent": "tapewatch", **headers}
        answer = self._http.post(self._url, body, sent, _READ_BYTES, status_says_all=True)
        if not 200 <= answer.status < 300:
            raise self._failure(answer)
        said = self._http.shown(answer)
        return f"answered {answer.status}" + (f": {said}" if said else "")

    def connect(self) -> str:
        """Connect and send nothing; see `connected`.

        Raises
        ------
        ReceiverError
            When there is no connection.
        """
        return connected(self._http, self._url, "url")

    def _failure(self, answer: HttpAnswer) -> RetryableError | PermanentError:
        status, shown = answer.status, self._http.shown(answer)
        if status in _RETRYABLE or status >= 500:
            wait_s = asked_to_wait_s(answer.headers, self._clock.now())
            return RetryableError(f"http_{status}", wait_s, in_doubt=status >= 500, answer=shown)
        return PermanentError(f"http_{status}", answer=shown)
