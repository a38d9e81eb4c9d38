"""The secrets that a configuration names, fetched once, and kept out of every text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from alerts.secrets import Secret, SecretError
from streamer.config.errors import Path, Problem
from streamer.config.file import ConfigFile

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Secrets:
    """Gives each secret that the configuration names; `repr` shows none of them.

    Examples
    --------
    >>> secrets = Secrets({Secret(env="TOKEN"): "xoxb-1"})
    >>> secrets(Secret(env="TOKEN")), secrets
    ('xoxb-1', <Secrets: 1>)
    """

    def __init__(self, values: Mapping[Secret, str]) -> None:
        self._values = dict(values)

    def __call__(self, secret: Secret) -> str:
        """The secret itself.

        Raises
        ------
        SecretError
            When the configuration names no such secret.
        """
        try:
            return self._values[secret]
        except KeyError:
            raise SecretError("the configuration names no such secret") from None

    def __repr__(self) -> str:
        """How many there are."""
        return f"<Secrets: {len(self._values)}>"


def resolve_secrets(config: ConfigFile, environ: Mapping[str, str]) -> Secrets:
    """Fetch every secret of a configuration.

    Parameters
    ----------
    config
        The configuration.
    environ
        Environment variables.

    Raises
    ------
    ConfigError
        With every secret that cannot be had, at the place that names it.
    """
    values: dict[Secret, str] = {}
    problems: list[Problem] = []
    for path, secret in secrets_of(config.settings):
        try:
            values[secret] = secret.resolve(environ)
        except SecretError as error:
            place = (*path, "file" if secret.env is None else "env")
            named = secret.env is None or _VARIABLE.fullmatch(secret.env)
            words = str(error) if named else "this is not the name of an environment variable"
            problems.append(config.problem(place, words))
    if problems:
        config.fail(problems)
    return Secrets(values)


def secrets_of(settings: BaseModel) -> Iterator[tuple[Path, Secret]]:
    """Every secret that settings name, with the path to it."""
    yield from _secrets(settings, ())


def _secrets(value: object, path: Path) -> Iterator[tuple[Path, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _secrets(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _secrets(item, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _secrets(item, (*path, number))
