"""Finds rules named like a set of the catalogue, where ``extends`` was meant."""

from __future__ import annotations

from alerts.catalogue.files import set_names
from streamer.config.nodes import Mapping, Node, find
from streamer.config.validation_errors import Finding


def sets_as_rules(root: Node) -> list[Finding]:
    """Every rule whose name is a set's."""
    rules = find(root, ("rules",))
    if not isinstance(rules, Mapping):
        return []
    return [
        (entry.position, ("rules", name), f"this is a set of the catalogue: write extends: [{name}]")
        for name, entry in rules.entries.items()
        if name in set_names()
    ]
