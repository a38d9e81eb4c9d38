"""Files and folders that only their owner may read, and that are never written through a link.

What the store and its checkpoints hold is market data, alerts, and pickles that run as code when they are
loaded. A link in their place, put there by somebody who can write to the folder, would make the service write
to any file of its user.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import structlog

from streamer.errors import TapewatchError

log = structlog.get_logger(__name__)

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_OTHERS: Final = 0o077
_DEVICES: Final = Path("/dev")


class LinkError(TapewatchError):
    """A link stands where a file is to be written."""


def open_private(path: Path, flags: int) -> int:
    """Open a file for writing, made for its owner alone where it does not exist, as a descriptor.

    Parameters
    ----------
    path
        The file; below ``/dev`` links are followed.
    flags
        Those of `os.open`, beside ``O_CREAT``.

    Raises
    ------
    LinkError
        When it is a symbolic link.
    OSError
        When it cannot be opened.
    """
    follow = 0 if _DEVICES in path.parents else os.O_NOFOLLOW
    if follow:
        refuse_link(path)
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | follow, FILE_MODE)


def refuse_link(path: Path) -> None:
    """Raise `LinkError` where a path is a symbolic link."""
    if path.is_symlink():
        raise LinkError(f"{path} is a symbolic link, which is not written through: name the file itself")


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter; one that is there is left as it is.

    Raises
    ------
    LinkError
        When it is a symbolic link.
    OSError
        When it cannot be made.
    """
    refuse_link(path)
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def make_private(path: Path) -> None:
    """Take away from others what they may do with a file or folder of our own; warn where that fails."""
    try:
        status = path.lstat()
        if not stat.S_IMODE(status.st_mode) & _OTHERS or stat.S_ISLNK(status.st_mode):
            return
        path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("others can read this, and it cannot be changed", path=str(path), problem=error.strerror)
    else:
        log.info("others could read this, and can no longer", path=str(path))


def warn_if_open(folder: Path) -> None:
    """Warn where others can write to a folder: they could put other files in the place of ours."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return
    if mode & 0o022 and not mode & stat.S_ISVTX:
        log.warning(
            "others can write to the folder of the store, and so run code as this user",
            folder=str(folder),
            mode=f"{mode:04o}",
            remedy=f"chmod go-w {folder}",
        )
