"""Rules that are named like one of the catalogue's sets: what was meant is to take the set over."""

from __future__ import annotations

from alerts.catalogue.files import set_names
from streamer.config.explain import Found
from streamer.config.nodes import Mapping, Node, find


def sets_as_rules(root: Node) -> list[Found]:
    """Every rule whose name is a set's."""
    rules = find(root, ("rules",))
    if not isinstance(rules, Mapping):
        return []
    return [
        (entry.position, ("rules", name), f"this is a set of the catalogue: write extends: [{name}]")
        for name, entry in rules.entries.items()
        if name in set_names()
    ]
