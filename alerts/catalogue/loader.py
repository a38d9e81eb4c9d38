"""Rule sets that come with the product."""

from __future__ import annotations

from alerts.catalogue.files import read_set, set_names
from alerts.settings import RuleSettings


def sets() -> tuple[str, ...]:
    """Names of the sets, in alphabetical order.

    Examples
    --------
    >>> "crypto" in sets()
    True
    """
    return set_names()


def load_set(name: str) -> dict[str, RuleSettings]:
    """The rules of a set by name, in the order of its file.

    Raises
    ------
    ValueError
        When there is no set of that name; the message suggests one.

    Examples
    --------
    >>> load_set("cripto")
    Traceback (most recent call last):
    ...
    ValueError: unknown rule set 'cripto' (did you mean 'crypto'?)
    """
    return {rule: RuleSettings.model_validate(settings) for rule, settings in read_set(name).items()}
