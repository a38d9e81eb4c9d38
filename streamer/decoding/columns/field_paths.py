"""Which types of values are asked for at which paths, in as few scans as that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.decoding.columns.event_plan import Path
from streamer.decoding.json import JsonField, Scanner
from streamer.decoding.json.scan_plan import FieldType

NOWHERE = -1
"""Stands where a value of a type is not asked for at a path."""

_MOST = 62  # as many bits of a word
_EXCLUSIVE = (frozenset({"text", "integer", "flag"}), frozenset({"text", "number", "flag"}))


@dataclass(frozen=True, slots=True)
class PathFields:
    """Where what was asked for at a path comes out, as numbers of fields over all scans.

    Parameters
    ----------
    first
        The path's field in the first scan.
    fields
        By type.
    """

    first: int
    fields: dict[str, int]

    def field(self, *types: str) -> int:
        """The field of the first of these types that is asked for; `NOWHERE` for none."""
        return next((self.fields[each] for each in types if each in self.fields), NOWHERE)


class Paths:
    """Paths and types as they are asked for.

    A scan finds one type at a path. Where several may be there, another scan reads the rows that have
    something else in the first.
    """

    def __init__(self) -> None:
        self._types: dict[Path, list[FieldType]] = {}

    def ask(self, path: Path, types: Sequence[FieldType]) -> None:
        """Ask for values at a path, the likeliest type first.

        Raises
        ------
        ValueError
            Where a value there can be of two of the types that are asked for.
        """
        known = self._types.setdefault(path, [])
        known += [each for each in types if each not in known]
        if len(known) > 1 and not any(set(known) <= exclusive for exclusive in _EXCLUSIVE):
            raise ValueError(f"{'.'.join(path)}: asked for as {' and '.join(known)}")

    def scanners(self) -> tuple[list[Scanner], dict[Path, PathFields]]:
        """What scans for all that is asked for, one after the other, and where that comes out.

        Raises
        ------
        ValueError
            For what a `Scanner` cannot look for.
        """
        found = {path: PathFields(number, {}) for number, path in enumerate(self._types)}
        scanners: list[Scanner] = []
        fields_before = 0
        for turn in range(max(map(len, self._types.values()), default=0)):
            fields = [
                JsonField(path, types[turn]) for path, types in self._types.items() if len(types) > turn
            ]
            scanner = Scanner(fields)
            for number, field in enumerate(fields):
                found[field.path].fields[field.type] = fields_before + number
            fields_before += len(fields)
            scanners.append(scanner)
        if fields_before > _MOST:
            raise ValueError(f"{fields_before} fields, more than {_MOST}")
        return scanners, found
