"""Which types of values are requested at which paths, in as few scans as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.decoding.columns.event_plan import Path
from streamer.decoding.json import JsonField, Scanner
from streamer.decoding.json.scan_plan import FieldType

NOWHERE = -1
"""Stands for the field of a type that is not requested at a path."""

_MAX_FIELDS = 62  # bits of a word
_EXCLUSIVE = (frozenset({"text", "integer", "flag"}), frozenset({"text", "number", "flag"}))


@dataclass(frozen=True, slots=True)
class FieldsAtPath:
    """The fields that hold a path's values, numbered over all scans.

    Parameters
    ----------
    first
        The path's field in the first scan.
    fields
        The field by type.
    """

    first: int
    fields: dict[str, int]

    def field(self, *types: str) -> int:
        """The field of the first of these types that is requested; `NOWHERE` if none is."""
        return next((self.fields[each] for each in types if each in self.fields), NOWHERE)


class RequestedPaths:
    """Collects the requested paths and types.

    A scan looks for one type at each path. If several are possible, another scan reads the rows in which
    the first one found a different type.
    """

    def __init__(self) -> None:
        self._types: dict[Path, list[FieldType]] = {}

    def request(self, path: Path, types: Sequence[FieldType]) -> None:
        """Request values at a path, the likeliest type first.

        Raises
        ------
        ValueError
            If one value could be of two of the requested types.
        """
        known = self._types.setdefault(path, [])
        known += [kind for kind in types if kind not in known]
        if len(known) > 1 and not any(set(known) <= exclusive for exclusive in _EXCLUSIVE):
            raise ValueError(f"{'.'.join(path)}: asked for as {' and '.join(known)}")

    def scanners(self) -> tuple[list[Scanner], dict[Path, FieldsAtPath]]:
        """The scanners, to be applied in order, and the fields of each path.

        Raises
        ------
        ValueError
            If a `Scanner` cannot look for what is requested.
        """
        by_path = {path: FieldsAtPath(number, {}) for number, path in enumerate(self._types)}
        scanners: list[Scanner] = []
        fields_before = 0
        for turn in range(max(map(len, self._types.values()), default=0)):
            fields = [
                JsonField(path, types[turn]) for path, types in self._types.items() if len(types) > turn
            ]
            scanner = Scanner(fields)
            for number, field in enumerate(fields):
                by_path[field.path].fields[field.type] = fields_before + number
            fields_before += len(fields)
            scanners.append(scanner)
        if fields_before > _MAX_FIELDS:
            raise ValueError(f"{fields_before} fields, more than {_MAX_FIELDS}")
        return scanners, by_path
