"""`tapewatch dead-letters`: what could not be used, and why."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Row

from alerts.suggestions import did_you_mean
from streamer.app.dead_letter_replay import put_back
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Store, load_config, open_named_store
from streamer.cli.output import out, progress_bar, say
from streamer.decoding.dead_letter_reasons import Reason
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.store.dead_records import Choice, DeadRecords, Left
from streamer.store.queries import dead_letters as find_dead_letters
from streamer.store.queries import floods, unused

_SHOWN_CHARACTERS = 60


def dead_letters(
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    reason: Annotated[str | None, typer.Option(help="Only of this reason, such as bad_json.")] = None,
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="Only this one, by the list's first column; repeatable.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Put them back into their topics as new records.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --replay: do not ask.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List records that could not be decoded, mapped, validated or accepted, with the reason of each.

    Nothing stops for a dead letter, and its bytes are kept (the first 64 KB). Of one reason in one
    minute the first 100 (`engine.flood`) are kept one by one, the rest as a range of offsets and a count.

    With --replay their bytes become new records of the partitions they came from, once what was wrong (a
    mapping, a limit) is put right. Each carries the header `tapewatch-dead-letter: topic/partition/offset`
    and its old timestamp, and is marked as replayed; those marked before go again only by --id. A record
    of several events goes back whole, so those of its events that were good are seen twice. --limit is
    for the list only.

    Examples: `tapewatch dead-letters --reason bad_json --json`,
    `tapewatch dead-letters --replay --reason unknown_type`, `tapewatch dead-letters --replay --id 17 --yes`
    """
    _known_reason(reason)
    database = open_named_store(config, store)
    choice = Choice(reason, tuple(ids) if ids else None)
    unknown = DeadRecords(database).unknown(choice.ids or ())
    if unknown:
        raise UsageError(f"--id: there is no dead letter {unknown[0]}; `tapewatch dead-letters` lists them")
    if replay:
        _replay(config, DeadRecords(database), choice, yes)
        return
    letters = find_dead_letters(database, reason, limit, choice.ids or ())
    counted = [] if choice.ids else floods(database, reason)
    if as_json:
        for document in (*map(_document, letters), *(dict(flood._mapping) for flood in counted)):
            out(json.dumps(document, ensure_ascii=False))
        return
    ignored = ", ".join(f"{name} {count:,}" for name, count in unused(database).items())
    if ignored:
        say(f"known and not used, so no dead letters: {ignored}")
    _print(letters, counted)


def _known_reason(reason: str | None) -> None:
    reasons = [known.value for known in Reason]
    if reason is not None and reason not in reasons:
        near = did_you_mean(reason, reasons) or f" (there are {', '.join(reasons)})"
        raise UsageError(f"--reason: {reason!r} is no reason{near}")


def _print(letters: Sequence[Row[Any]], counted: Sequence[Row[Any]]) -> None:
    if not letters and not counted:
        out("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "topic", "partition", "offset", "reason", "detail", "value", "replayed"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        table.add_row(
            str(letter.n),
            letter.topic,
            str(letter.partition),
            str(letter.offset),
            letter.reason,
            letter.detail,
            "null" if letter.value is None else repr(letter.value[:_SHOWN_CHARACTERS])[2:-1],
            "" if letter.replayed_at is None else _time(letter.replayed_at, "%Y-%m-%dT%H:%M:%SZ"),
        )
    out(table)
    for flood in counted:
        minute = _time(max(flood.minute, 0) * 60, "%Y-%m-%dT%H:%MZ")
        out(
            f"{flood.topic}[{flood.partition}] {minute}: {flood.count} more {flood.reason}, "
            f"offsets {flood.first_offset} to {flood.last_offset}"
        )


def _replay(config: Path, store: DeadRecords, choice: Choice, yes: bool) -> None:
    kafka = load_config(config).settings.source.kafka
    if kafka is None:
        raise UsageError(f"{config}: no broker is named: give source.kafka")
    topics = store.topics(choice)
    _say_what_is_left(store.left(choice))
    if not topics:
        out("nothing to replay")
        return
    many = sum(topics.values())
    into = ", ".join(f"{topic} {count:,}" for topic, count in topics.items())
    records = "1 record" if many == 1 else f"{many:,} records"
    if not yes:
        _confirm(f"put {records} back as new input ({into})?")
    with progress_bar() as bar:
        task = bar.add_task("replaying", total=many, note="")
        sent = put_back(
            store,
            choice,
            kafka,
            SystemClock(),
            environ=os.environ,
            progress=lambda done: bar.update(task, completed=done),
        )
    out(f"replayed {sent:,} of {records}: {into}")


def _say_what_is_left(left: Left) -> None:
    for count, why in (
        (left.truncated, "larger than what is kept of one (64 KB)"),
        (left.empty, "without a value"),
        (left.replayed, "replayed before (name one with --id to send it again)"),
        (left.counted, "only counted, since there were too many in a minute"),
    ):
        if count:
            say(f"left: {count:,} {why}")


def _confirm(question: str) -> None:
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise UsageError(
            "nobody answered, so nothing was replayed; give --yes where nobody is there"
        ) from None
    if not agreed:
        raise KeyboardInterrupt


def _time(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


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
