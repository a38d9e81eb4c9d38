"""`tapewatch health`: asks the running daemon whether all is well."""

from __future__ import annotations

import http.client
import json
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


def health(
    config: Config = DEFAULT_CONFIG,
    address: Annotated[
        str | None,
        typer.Option(help="Where it serves, host:port; by default the configuration's serve.address."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 5.0,
) -> None:
    """Ask the daemon on this machine whether all is well: exit code 0 if so, 1 with the causes if not.

    It asks `/healthz` at `serve.address`; the image's HEALTHCHECK runs it. It reads the address out of the
    configuration and loads nothing else.

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
    status, said = _asked(host, port, timeout)
    if status != http.client.OK:
        raise TapewatchError(f"not well: {said.get('reason') or f'it answers with status {status}'}")
    out_line(_summary(said))


def _asked(host: str, port: int, timeout_s: float) -> tuple[int, dict[str, Any]]:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = json.loads(answer.read(_MOST_BYTES) or b"{}")
        return answer.status, said if isinstance(said, dict) else {}
    except OSError as error:
        raise TapewatchError(f"no daemon answers at {where}: {error.strerror or error}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise TapewatchError(f"what answers at {where} is no daemon of tapewatch") from error
    finally:
        connection.close()


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
