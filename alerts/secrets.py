"""Secrets: the configuration names where they are, and never contains them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOW = "a secret is not written here: give {env: NAME} or {file: PATH}"


class SecretError(ValueError):
    """A secret is not available or malformed; the message never contains its value.

    Parameters
    ----------
    message
        Why not, and what to do.
    option
        The path of the setting that names it, below the receiver's kind; empty where that is not known.
    """

    def __init__(self, message: str, *option: str) -> None:
        super().__init__(message)
        self.option = option


class Secret(BaseModel):
    """Where a secret is: an environment variable, or a file that contains nothing else.

    The value is never part of this object, so neither its `repr` nor a configuration's hash gives it away.

    Parameters
    ----------
    env
        Name of an environment variable.
    file
        Path of a regular file of at most 64 KB; surrounding white space is removed.

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
            if text is None and not _VARIABLE.fullmatch(self.env):  # it may be the secret itself
                raise SecretError("this is not the name of an environment variable")
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


_MOUNTED = ("/run/secrets", "/var/run/secrets")

MOST_BYTES = 65_536
"""Bytes that a secret's file may have; a key with its chain of certificates has some thousand."""


def small_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """What a small regular file holds, without ever waiting for it.

    Parameters
    ----------
    path
        The file, or a link to it, as container platforms make them.
    most_bytes
        How large it may be.

    Raises
    ------
    SecretError
        When it cannot be read, is no regular file (a pipe, a device, a folder), or is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise SecretError(f"file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise SecretError(f"file {str(path)!r} cannot be read: {error}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(
                f"{path} is {_kind(status.st_mode)}: name a regular file, which holds nothing else"
            )
        data = _up_to(descriptor, most_bytes + 1)
    except OSError as error:
        raise SecretError(f"file {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        size = max(status.st_size, len(data))
        raise SecretError(
            f"file {path} has {size:,} bytes, more than the {most_bytes:,} that it may have: "
            "name a file that holds nothing else"
        )
    return data


def open_to_all(path: Path) -> str | None:
    """What is wrong with a secret's file that every user of the machine may read; None for nothing.

    Files that a container platform mounts belong to the container alone, whatever their mode says.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if not mode & stat.S_IROTH or any(map(path.is_relative_to, _MOUNTED)):
        return None
    return f"every user of this machine may read {path}: chmod 600 {path}"


def _read(path: Path) -> str:
    try:
        return small_file(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SecretError(f"file {path} is not UTF-8 text") from error


def _up_to(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")
