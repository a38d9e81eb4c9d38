"""`tapewatch prune`: deletes from the store what is older than it is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import out, say


def prune(
    config: Config = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Write the file anew, so that it shrinks; not while `run` runs."),
    ] = False,
) -> None:
    """Delete from the store what is older than `keep` says, as the daemon does every five minutes.

    It may run beside the daemon. Open episodes and what receivers are owed stay, however old they are.

    The file of a store that an older version made does not shrink: --rewrite writes it anew once. That takes
    as much room again and seconds for each GB. Nobody can write meanwhile, so stop the daemon first.

    Examples: `tapewatch prune --dry-run`, `tapewatch prune --rewrite`
    """
    from streamer.app.upkeep import keep_of, pruned_now
    from streamer.errors import UsageError
    from streamer.store.database import open_store

    if dry_run and rewrite:
        raise UsageError("--dry-run changes nothing: leave out --rewrite")
    settings = load_config(config).settings
    database = open_store(settings.store, create=False)
    try:
        report = pruned_now(database, keep_of(settings.keep), dry_run=dry_run, rewriting=rewrite)
    finally:
        database.close()
    for name, count in report.counts.items():
        out(f"{count:>12,} {name.replace('_', ' ')}")
    verb = "would be deleted" if dry_run else "deleted"
    say(f"{sum(report.counts.values()):,} rows {verb}; the file has {report.size_text}")
    if not report.pages.shrinks:
        say("an older version made the file, so it does not shrink: stop `run`, then prune --rewrite once")
