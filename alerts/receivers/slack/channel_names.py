"""What is written for a channel, and cannot be one."""

from __future__ import annotations

import re

CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")
"""Of a channel, a private one, a direct message."""

PERSON_ID = re.compile(r"[UW][A-Z0-9]{8,}")
"""Of a person, to whom the bot then sends a direct message."""

_ID_LIKE = re.compile(r"#?([cgdu]0[a-z0-9]{7,})", re.IGNORECASE)
_IN_URL = re.compile(r"/([CGD][A-Z0-9]{8,})(?:[/?#]|$)")
_MENTIONED = re.compile(r"<#([CGD][A-Z0-9]{8,})(?:\|[^>]*)?>")
_PERSON = re.compile(r"@.*|<@.*>")


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
    if not bare:
        raise ValueError("it is empty: give a name or an id, such as '#desk' or 'C0123456789'")
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
            "that is a person: name a channel, such as '#desk', or give the person's id (U…); whom critical "
            "alerts call is set by `mention`"
        )
    if CHANNEL_ID.fullmatch(text) or PERSON_ID.fullmatch(text):
        return text
    found = _ID_LIKE.fullmatch(text)
    if found and text != text.lower():  # '#c0123456789' may be a name
        raise ValueError(f"an id is written in capitals and without '#': did you mean {found[1].upper()!r}?")
    if found and not text.startswith("#"):
        raise ValueError(
            f"ids are in capitals: did you mean {text.upper()!r}? A name is written {f'#{text}'!r}"
        )
    if text != text.lower():
        raise ValueError(f"names of channels are in lower case: did you mean {text.lower()!r}?")
    if any(letter.isspace() for letter in text):
        raise ValueError(f"names of channels have no blanks: did you mean {'-'.join(text.split())!r}?")
    return text
