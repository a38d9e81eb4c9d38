"""Posts a delivery over HTTP, and tells the sender what the answer means."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3

from alerts.clock import Clock
from alerts.receivers.http import HttpSettings
from alerts.receivers.kind import MOST_PARALLEL
from alerts.receivers.receiver import PermanentError, RetryableError
from alerts.receivers.retry_after import asked_to_wait_s

_RETRYABLE = frozenset({408, 425, 429})
_READ_BYTES = 65_536  # a longer answer closes the connection instead of being read to its end

_UNREACHED = (
    urllib3.exceptions.NewConnectionError,  # name resolution included
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.SSLError,
)


class HttpPost:
    """Posts to one address. Redirects and the environment's proxy settings are ignored.

    Parameters
    ----------
    url
        Where to post.
    settings
        Timeout and proxy.
    clock
        Wall-clock time, to read a date in ``Retry-After``.
    """

    def __init__(self, url: str, settings: HttpSettings, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        timeout = urllib3.Timeout(connect=settings.timeout_s, read=settings.timeout_s)
        self._http: urllib3.PoolManager = (
            urllib3.PoolManager(timeout=timeout, retries=False, maxsize=MOST_PARALLEL)
            if settings.proxy is None
            else urllib3.ProxyManager(settings.proxy, timeout=timeout, retries=False, maxsize=MOST_PARALLEL)
        )

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post JSON; returns once a 2xx answer has come.

        Parameters
        ----------
        body
            JSON.
        headers
            Sent in addition to the content type and the user agent.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx, and where no answer comes. It is in doubt after 5xx, and after a
            request that was sent and not answered.
        PermanentError
            On any other answer.
        """
        try:
            response = self._http.request(
                "POST",
                self._url,
                body=body,
                headers={"content-type": "application/json", "user-agent": "tapewatch", **headers},
                redirect=False,
                preload_content=False,
            )
        except _UNREACHED as error:
            raise RetryableError(_reason(error), everything=True) from error
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(_reason(error), in_doubt=True, everything=True) from error
        status, wait_s = response.status, asked_to_wait_s(response.headers, self._clock.now())
        _finish(response)
        if 200 <= status < 300:
            return
        if status in _RETRYABLE or status >= 500:
            raise RetryableError(f"http_{status}", wait_s, in_doubt=status >= 500)
        raise PermanentError(f"http_{status}")


def _reason(error: Exception) -> str:
    return type(error).__name__.removesuffix("Error").lower()


def _finish(response: urllib3.BaseHTTPResponse) -> None:
    """Leave the connection fit for reuse. The status is known already, so no error here matters."""
    try:
        read = response.read(_READ_BYTES, decode_content=False)
    except urllib3.exceptions.HTTPError:
        response.close()
        return
    if len(read) < _READ_BYTES:
        response.release_conn()
    else:
        response.close()
