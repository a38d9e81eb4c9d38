"""`tapewatch health`: asks the running daemon whether all is well."""

from __future__ import annotations

import http.client
import json
import math
from typing import Annotated, Any

import typer

from alerts.counting import counted
from alerts.durations import spoken
from alerts.idle_time import last_step_text
from streamer.cli.config_option import DEFAULT_CONFIG, Config
from streamer.cli.plain_lines import out_line
from streamer.config.serve_settings import host_and_port
from streamer.config.served_address import served_address
from streamer.errors import TapewatchError, UsageError

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a daemon listens that listens everywhere
_MOST_BYTES = 65_536
_STORE_SILENT = b"the store does not answer\n"
_MOST = 2**63  # of anything that is counted
_MAY_BE_UNKNOWN = ("behind", "undelivered_s")
_GROUPS = {"parked": True, "failing": False}  # lists of receivers, and whether each has a count


def health(
    config: Config = DEFAULT_CONFIG,
    address: Annotated[
        str | None,
        typer.Option(help="Where it serves, host:port; by default the configuration's serve.address."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 5.0,
) -> None:
    """Ask the daemon on this machine whether all is well: exit code 0 if so, 1 with the causes if not.

    It asks `/healthz` at `serve.address`; the image's HEALTHCHECK runs it. Whatever else answers there is no
    daemon, and not well. It reads the address out of the configuration and loads nothing else.

    Example: `tapewatch health`
    """
    text = address if address is not None else served_address(config)
    try:
        listen = host_and_port(text)
    except ValueError as error:
        raise UsageError(f"--address: {error}") from error
    if listen is None:
        raise UsageError(f"{config}: serve.address is off, so nobody can be asked: give it a host and a port")
    host, port = _ANYWHERE.get(listen[0], listen[0]), listen[1]
    said = _asked(host, port, timeout)
    if said["status"] != "ok":
        raise TapewatchError(f"not well: {said['reason']}")
    out_line(_summary(said))


def _asked(host: str, port: int, timeout_s: float) -> dict[str, Any]:
    """What the page of a daemon says, which has been found to be one."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES)
        if answer.status == http.client.INTERNAL_SERVER_ERROR and body == _STORE_SILENT:
            return {"status": "failing", "reason": body.decode().strip()}
        said = json.loads(body)
    except OSError as error:
        raise TapewatchError(f"no daemon answers at {where}: {error.strerror or error}") from error
    except (http.client.HTTPException, ValueError, RecursionError) as error:
        raise TapewatchError(f"what answers at {where} is no daemon of tapewatch") from error
    finally:
        connection.close()
    if not _is_ours(answer.status, said):
        raise TapewatchError(f"what answers at {where} is no daemon of tapewatch")
    return dict(said)


def _is_ours(status: int, said: object) -> bool:
    """Whether this is what `/healthz` of a daemon says, and nobody else's page."""
    if not isinstance(said, dict):
        return False
    if status == http.client.SERVICE_UNAVAILABLE:
        reason = said.get("reason")
        return said.get("status") == "failing" and isinstance(reason, str) and bool(reason)
    return (
        status == http.client.OK
        and said.get("status") == "ok"
        and _is_amount(said.get("step_age_s"))
        and all(name in said and (said[name] is None or _is_amount(said[name])) for name in _MAY_BE_UNKNOWN)
        and isinstance(said["behind"], int | None)
        and all(_are_groups(said.get(name, []), counted) for name, counted in _GROUPS.items())
    )


def _is_amount(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= _MOST and math.isfinite(value)


def _are_groups(groups: object, is_counted: bool) -> bool:
    return isinstance(groups, list) and all(
        isinstance(group, dict)
        and isinstance(group.get("receiver"), str)
        and isinstance(group.get("reason"), str)
        and (not is_counted or (isinstance(group.get("count"), int) and _is_amount(group["count"])))
        for group in groups
    )


def _summary(said: dict[str, Any]) -> str:
    behind, waits = said.get("behind"), said.get("undelivered_s")
    backlog = "backlog unknown" if behind is None else f"{counted(behind, 'record')} behind"
    oldest = f", oldest undelivered alert {spoken(waits)} old" if waits else ""
    step = last_step_text(said.get("step_age_s", 0.0), behind)
    left = _left(said)
    state = f"at work, but {' and '.join(left)}" if left else "all is well"
    return f"{state}: {step}, {backlog}{oldest}"


def _left(said: dict[str, Any]) -> list[str]:
    """What somebody has to look after, although work goes on."""
    groups, away = said.get("parked", ()), said.get("failing", ())
    parked = sum(group.get("count", 0) for group in groups)
    left = []
    if parked:
        where = ", ".join(f"{group.get('receiver')}: {group.get('reason')}" for group in groups)
        left.append(f"{parked:,} {'delivery is' if parked == 1 else 'deliveries are'} parked ({where})")
    if away:
        where = ", ".join(f"{each.get('receiver')} ({each.get('reason')})" for each in away)
        left.append(f"nothing gets through to {where}")
    return left
