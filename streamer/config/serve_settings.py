"""Settings for serving metrics and health."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

OFF = "off"


def host_and_port(text: str) -> tuple[str, int] | None:
    """An address to listen on, None for ``off``.

    Raises
    ------
    ValueError
        When it is neither ``off`` nor a host and a port.

    Examples
    --------
    >>> host_and_port("127.0.0.1:9464"), host_and_port("[::1]:9464"), host_and_port("off")
    (('127.0.0.1', 9464), ('::1', 9464), None)
    >>> host_and_port(":9464")
    Traceback (most recent call last):
        ...
    ValueError: ':9464' is neither off nor host:port, such as 127.0.0.1:9464
    """
    if text == OFF:
        return None
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    valid_port = port.isascii() and port.isdigit() and int(port) <= 65_535
    if not bare or not valid_port or (":" in bare and bare == host):
        raise ValueError(f"{text!r} is neither off nor host:port, such as 127.0.0.1:9464")
    return bare, int(port)


def _address(text: str) -> str:
    host_and_port(text)
    return text


class ServeSettings(BaseModel):
    """Where ``/metrics``, ``/healthz`` and ``/readyz`` are served.

    Parameters
    ----------
    address
        A host and a port, or ``off``. There is no authentication, so the default is this machine only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1:9464"

    @property
    def listen(self) -> tuple[str, int] | None:
        """Host and port, None for ``off``."""
        return host_and_port(self.address)
