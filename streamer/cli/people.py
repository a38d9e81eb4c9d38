"""Who runs a command."""

from __future__ import annotations

import getpass
import os


def login_name() -> str:
    """The user's login name, or what a container's user without a name has: its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
