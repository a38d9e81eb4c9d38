"""Which files a checkpoint consists of, and which checkpoints are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from streamer.store import tables as t
from streamer.store.task_rows import CheckpointRow


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays of a task's checkpoints.

    Parameters
    ----------
    seqs
        The checkpoints that stay.
    files
        The files that these need.
    cut
        The journal is needed only behind this entry; None where all of it is.
    """

    seqs: frozenset[int]
    files: frozenset[str]
    cut: int | None


def chain_of(rows: Sequence[CheckpointRow], row: CheckpointRow) -> list[tuple[str, str]]:
    """The files that a checkpoint consists of, each with its SHA-256, in order.

    Examples
    --------
    >>> base = CheckpointRow(1, 4, 0, 0, "", "a", "sha a")
    >>> first = CheckpointRow(1, 6, 0, 0, "", "b", "sha b", base="a", base_sha256="sha a", base_seq=4)
    >>> second = CheckpointRow(1, 9, 0, 0, "", "c", "sha c", base="a", base_sha256="sha a", base_seq=4)
    >>> [file for file, _ in chain_of([second, first, base], second)]
    ['a', 'b', 'c']
    """
    if not row.base:
        return [(row.file, row.sha256)]
    changes = sorted((each for each in rows if row.base_seq < each.seq <= row.seq), key=lambda each: each.seq)
    return [(row.base, row.base_sha256), *((each.file, each.sha256) for each in changes)]


def kept_of(rows: Sequence[CheckpointRow]) -> Keep:
    """What stays of these checkpoints, the newest first.

    Two are kept that share no file: the newest, and the newest of those from before its base. Those between
    them stay too, since their files do. The journal is needed behind the older one, so that whichever file
    is damaged, a checkpoint before it can be gone on from.

    Examples
    --------
    >>> whole = [CheckpointRow(1, seq, 0, 0, "", f"whole{seq}") for seq in (9, 6, 4)]
    >>> kept = kept_of(whole)
    >>> sorted(kept.seqs), kept.cut
    ([6, 9], 6)
    """
    newest = rows[0]
    begin, first_file = _begin_of(newest)
    older = next((row for row in rows if row.seq <= begin and _begin_of(row)[1] != first_file), None)
    if older is not None:
        begin, first_file = _begin_of(older)
    kept = [row for row in rows if row.seq > begin or row.file == first_file]
    files = {row.file for row in kept} | {row.base for row in kept if row.base}
    return Keep(frozenset(row.seq for row in kept), frozenset(files), older.seq if older else None)


def checkpoint_files(connection: Connection) -> list[str]:
    """All files in the folder of checkpoints that the store needs, sorted: what a backup has to copy."""
    c = t.checkpoints.c
    rows = connection.execute(select(c.file, c.base)).all()
    return sorted({name for row in rows for name in row if name})


def _begin_of(row: CheckpointRow) -> tuple[int, str]:
    """The checkpoint that a chain begins with or behind, and the chain's first file."""
    return (row.base_seq, row.base) if row.base else (row.seq, row.file)
