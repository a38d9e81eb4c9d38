"""`tapewatch dead-letters`: what could not be used, and why."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Row

from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Store, open_named_store
from streamer.cli.output import out, say
from streamer.errors import UsageError
from streamer.events.reasons import Reason
from streamer.store.queries import dead_letters as find_dead_letters
from streamer.store.queries import floods, unused

_SHOWN_CHARACTERS = 60


def dead_letters(
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    reason: Annotated[str | None, typer.Option(help="Only of this reason, such as bad_json.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List records that could not be decoded, mapped, validated or accepted, with the reason of each.

    Nothing stops for a dead letter, and its bytes are kept (the first 64 KB). Of one reason in one
    minute the first 100 (`engine.flood`) are kept one by one, the rest as a range of offsets and a count.

    Example: `tapewatch dead-letters --reason bad_json --json`
    """
    reasons = [known.value for known in Reason]
    if reason is not None and reason not in reasons:
        near = did_you_mean(reason, reasons) or f" (there are {', '.join(reasons)})"
        raise UsageError(f"--reason: {reason!r} is no reason{near}")
    database = open_named_store(config, store)
    letters, counted = find_dead_letters(database, reason, limit), floods(database, reason)
    if as_json:
        for letter in letters:
            out(json.dumps(_document(letter), ensure_ascii=False))
        for flood in counted:
            out(json.dumps(dict(flood._mapping)))
        return
    ignored = ", ".join(f"{name} {count:,}" for name, count in unused(database).items())
    if ignored:
        say(f"known and not used, so no dead letters: {ignored}")
    if not letters and not counted:
        out("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("topic", "partition", "offset", "reason", "detail", "value"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        table.add_row(
            letter.topic,
            str(letter.partition),
            str(letter.offset),
            letter.reason,
            letter.detail,
            "null" if letter.value is None else repr(letter.value[:_SHOWN_CHARACTERS])[2:-1],
        )
    out(table)
    for flood in counted:
        minute = datetime.fromtimestamp(max(flood.minute, 0) * 60, UTC).strftime("%Y-%m-%dT%H:%MZ")
        out(
            f"{flood.topic}[{flood.partition}] {minute}: {flood.count} more {flood.reason}, "
            f"offsets {flood.first_offset} to {flood.last_offset}"
        )


def _document(letter: Row[Any]) -> dict[str, Any]:
    document = dict(letter._mapping)
    value = document.pop("value")
    document["index"] = document.pop("index_")
    document["truncated"] = bool(document["truncated"])
    try:
        document["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        document["value_b64"] = base64.b64encode(value).decode()
    return document
