"""Figures as a table for people, as JSON, and as the part of docs/performance.md that nobody types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
NOT_YET = "Not measured yet: `make bench` writes its figures here."
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"

Measured = Mapping[str, tuple[str, Sequence[Figure]]]
"""By letter: the row's title and its figures."""


def shown(value: float | None, unit: str) -> str:
    """A figure as people read it.

    >>> shown(612345.6, "/s"), shown(12.345, "x"), shown(0.6789, "x"), shown(412.0, "MB"), shown(None, "ms")
    ('612,346/s', '12.3x', '0.68x', '412 MB', 'not run')
    """
    if value is None:
        return "not run"
    if unit == "/s":
        return f"{value:,.0f}/s"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{'' if unit in ('x', '') else ' '}{unit}"


def asked(figure: Figure) -> str:
    """The bound, in words.

    >>> asked(Figure("p99", 12.0, "ms", most=50)), asked(Figure("ratio", 12.0, "x", least=12))
    ('at most 50.0 ms', 'at least 12.0x')
    """
    if figure.least is not None:
        return f"at least {shown(figure.least, figure.unit)}"
    return "" if figure.most is None else f"at most {shown(figure.most, figure.unit)}"


def text(measured: Measured) -> str:
    """The table for a terminal."""
    lines = []
    for letter, (title, figures) in measured.items():
        lines.append(f"\n{letter}  {title}")
        for figure in figures:
            spread = "" if figure.spread is None else _spread(figure)
            reached = shown(figure.value, figure.unit)
            lines.append(
                f"   {figure.name:56}{reached:>12}  {asked(figure):18}{figure.verdict:8} "
                f"{figure.note or spread}".rstrip()
            )
    return "\n".join(lines)


def as_json(measured: Measured, machine: Mapping[str, Any], how: Mapping[str, Any]) -> str:
    """The same for programs."""
    rows = {
        letter: {
            "title": title,
            "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in figures],
        }
        for letter, (title, figures) in measured.items()
    }
    return json.dumps({"machine": machine, "how": how, "rows": rows}, indent=1) + "\n"


def page_part(document: Mapping[str, Any]) -> str:
    """The generated part of the page, from what `as_json` wrote.

    Parameters
    ----------
    document
        The JSON, read back.
    """
    machine, how = document["machine"], document["how"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; {versions}.",
        f"{how['events']:,} events a run, {how['peer_events']:,} for River's own models and peers; "
        f"medians of {how['rounds']}. Batches of {how['batch_size']:,}; captures: {how['captures']}.",
        "",
        "| | figure | asked | reached | |",
        "|---|---|---|---|---|",
    ]
    for letter, row in document["rows"].items():
        for place, entry in enumerate(row["figures"]):
            figure = _figure(entry)
            about = "; ".join(part for part in (entry["note"], _spread(figure)) if part)
            named = f"**{letter}**" if place == 0 else ""
            reached = (
                f"**{shown(figure.value, figure.unit)}**"
                if asked(figure)
                else shown(figure.value, figure.unit)
            )
            lines.append(f"| {named} | {figure.name} | {asked(figure)} | {reached} | {about} |")
    return "\n".join(lines)


def written_into(page: str, part: str) -> str:
    """A page with another generated part.

    Raises
    ------
    ValueError
        When its marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


def _figure(entry: Mapping[str, Any]) -> Figure:
    values = {name: value for name, value in entry.items() if name != "verdict"}
    return Figure(**{**values, "spread": tuple(values["spread"]) if values["spread"] else None})


def _spread(figure: Figure) -> str:
    if figure.spread is None:
        return ""
    low, high = (shown(value, figure.unit) for value in figure.spread)
    return f"{low} to {high}" if low != high else ""
