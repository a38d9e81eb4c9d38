"""What is written for a channel, and cannot be one."""

from __future__ import annotations

import re

CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")
"""Of a channel, a private one, a direct message."""

_ID_IN_LOWER_CASE = re.compile(r"[cgd]0[a-z0-9]{7,}", re.IGNORECASE)
_IN_URL = re.compile(r"/([CGD][A-Z0-9]{8,})(?:[/?#]|$)")
_MENTIONED = re.compile(r"<#([CGD][A-Z0-9]{8,})(?:\|[^>]*)?>")
_PERSON = re.compile(r"@.*|<@.*>|[UW][A-Z0-9]{8,}")


def checked_channel(text: str) -> str:
    """Check what a configuration names as a channel.

    Raises
    ------
    ValueError
        When Slack cannot know it by that, with what to write.

    Examples
    --------
    >>> checked_channel("#desk"), checked_channel("C0123456789")
    ('#desk', 'C0123456789')
    >>> checked_channel("#Desk")
    Traceback (most recent call last):
        ...
    ValueError: names of channels are in lower case: did you mean '#desk'?
    """
    bare = text.strip()
    if bare != text:
        raise ValueError(f"it begins or ends with a blank: did you mean {bare!r}?")
    mentioned = _MENTIONED.fullmatch(text)
    if mentioned:
        raise ValueError(f"that is how a message names a channel: did you mean {mentioned[1]!r}?")
    if "://" in text:
        found = _IN_URL.search(text)
        meant = f": did you mean {found[1]!r}?" if found else ", such as '#desk' or 'C0123456789'"
        raise ValueError(f"an address is no channel, give its name or id{meant}")
    if _PERSON.fullmatch(text):
        raise ValueError(
            "that is a person: name a channel, such as '#desk', or the id of the direct message (D…); whom "
            "critical alerts call is set by `mention`"
        )
    if CHANNEL_ID.fullmatch(text):
        return text
    if _ID_IN_LOWER_CASE.fullmatch(text):
        raise ValueError(
            f"ids of channels are in capitals: did you mean {text.upper()!r}? A name is written "
            f"{f'#{text.lower()}'!r}"
        )
    if text != text.lower():
        raise ValueError(f"names of channels are in lower case: did you mean {text.lower()!r}?")
    if any(letter.isspace() for letter in text):
        raise ValueError(f"names of channels have no blanks: did you mean {'-'.join(text.split())!r}?")
    return text
