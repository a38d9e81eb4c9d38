"""Resolves the secrets that a configuration refers to, and keeps them out of every text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from alerts.secrets import Secret, SecretError, open_to_all
from streamer.config.errors import Path, Problem
from streamer.config.file import ConfigFile


class Secrets:
    """The resolved secrets of a configuration; `repr` shows none of them.

    Examples
    --------
    >>> secrets = Secrets({Secret(env="TOKEN"): "xoxb-1"})
    >>> secrets(Secret(env="TOKEN")), secrets
    ('xoxb-1', <Secrets: 1>)
    """

    def __init__(self, values: Mapping[Secret, str], warnings: Sequence[Problem] = ()) -> None:
        self._values = dict(values)
        self.warnings = tuple(warnings)
        """What is wrong with where they are kept; none makes them unusable."""

    def __call__(self, secret: Secret) -> str:
        """The value of a secret.

        Raises
        ------
        SecretError
            When the configuration does not refer to this secret.
        """
        try:
            return self._values[secret]
        except KeyError:
            raise SecretError("the configuration names no such secret") from None

    @property
    def values(self) -> frozenset[str]:
        """All values, for whoever hides them."""
        return frozenset(self._values.values())

    def __repr__(self) -> str:
        """The number of secrets."""
        return f"<Secrets: {len(self._values)}>"


def resolve_secrets(config: ConfigFile, environ: Mapping[str, str]) -> Secrets:
    """Resolve every secret of a configuration.

    Parameters
    ----------
    config
        The configuration.
    environ
        Environment variables.

    Raises
    ------
    ConfigError
        With every secret that cannot be resolved, at the place that refers to it.
    """
    values: dict[Secret, str] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for path, secret in secrets_of(config.settings):
        try:
            values[secret] = secret.resolve(environ)
            if secret.file is not None and (open_ := open_to_all(secret.file)) is not None:
                warnings.append(config.problem((*path, "file"), open_))
        except SecretError as error:
            option = (*path, "file" if secret.env is None else "env")
            problems.append(config.problem(option, str(error)))
    if problems:
        config.fail(problems)
    return Secrets(values, warnings)


def secrets_of(settings: BaseModel) -> Iterator[tuple[Path, Secret]]:
    """Every secret that settings refer to, with its path."""
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
