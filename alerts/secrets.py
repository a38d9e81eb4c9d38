"""Secrets: the configuration names where they are, and never contains them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

_HOW = "a secret is not written here: give {env: NAME} or {file: PATH}"


class SecretError(ValueError):
    """A secret is not available or malformed; the message never contains its value."""


class Secret(BaseModel):
    """Where a secret is: an environment variable, or a file that contains nothing else.

    The value is never part of this object, so neither its `repr` nor a configuration's hash gives it away.

    Parameters
    ----------
    env
        Name of an environment variable.
    file
        Path of a file; surrounding white space is removed.

    Examples
    --------
    >>> Secret(env="SLACK_BOT_TOKEN").resolve({"SLACK_BOT_TOKEN": "xoxb-1"})
    'xoxb-1'
    >>> Secret(env="SLACK_BOT_TOKEN").resolve({})
    Traceback (most recent call last):
        ...
    alerts.secrets.SecretError: environment variable SLACK_BOT_TOKEN is not set
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_plain_text(cls, value: Any) -> Any:
        if not isinstance(value, Mapping | Secret):
            raise ValueError(_HOW)  # noqa: TRY004 - pydantic turns only ValueError into a problem
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret has one source: give {env: NAME} or {file: PATH}")
        return self

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The secret itself.

        Raises
        ------
        SecretError
            When the variable is not set, the file cannot be read, or the value is empty.
        """
        if self.env is not None:
            text = environ.get(self.env)
            if text is None:
                raise SecretError(f"environment variable {self.env} is not set")
            where = f"environment variable {self.env}"
        else:
            assert self.file is not None  # noqa: S101 - ensured by the validator
            text = _read(self.file)
            where = f"file {self.file}"
        text = text.strip()
        if not text:
            raise SecretError(f"{where} is empty")
        return text


Resolve = Callable[[Secret], str]
"""Looks a secret up; raises `SecretError`."""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SecretError(f"file {path} is not UTF-8 text") from error
    except OSError as error:
        raise SecretError(f"file {path} cannot be read: {error.strerror}") from error
