"""The catalogue's YAML files: rule sets by name, with settings that are not validated yet."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from ruamel.yaml import YAML

from alerts.suggestions import did_you_mean


@cache
def set_names() -> tuple[str, ...]:
    """Names of the rule sets that come with the product, in alphabetical order."""
    files = resources.files("alerts.catalogue").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def known_set(name: str) -> str:
    """The name itself, if it is that of a rule set.

    Raises
    ------
    ValueError
        When there is no such set; the message suggests a similar name, or lists all.
    """
    if name not in set_names():
        near = did_you_mean(name, set_names()) or f" (there are {', '.join(set_names())})"
        raise ValueError(f"unknown rule set '{name}'{near}")
    return name


def read_set(name: str) -> dict[str, dict[str, Any]]:
    """The rules of a set by name, each as the mapping in the set's file.

    Raises
    ------
    ValueError
        When there is no set of this name.
    """
    text = resources.files("alerts.catalogue").joinpath(f"{known_set(name)}.yaml").read_text("utf-8")
    return {rule: dict(settings) for rule, settings in YAML(typ="safe", pure=True).load(text).items()}
