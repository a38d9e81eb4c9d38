"""Mentions in Slack messages: who is called when a critical alert begins."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from alerts.suggestions import did_you_mean

_ALL = ("here", "channel", "everyone")
_TOKEN = re.compile(
    r"<!(?:here|channel|everyone)>|<!subteam\^S[A-Z0-9]{2,20}(?:\|@?[\w.-]{1,80})?>|<@[UW][A-Z0-9]{2,20}>",
    re.ASCII,
)
_FORMS = "@here, @channel, @everyone, <!subteam^S...> for a user group, or <@U...> for a person"


def mention_token(text: str) -> str:
    """The token by which Slack knows a mention.

    Raises
    ------
    ValueError
        When it is none of the forms that Slack resolves: names of groups and people are not.

    Examples
    --------
    >>> mention_token("@here"), mention_token("<!subteam^S0123ABCD>")
    ('<!here>', '<!subteam^S0123ABCD>')
    >>> mention_token("@her")
    Traceback (most recent call last):
        ...
    ValueError: '@her' is not a mention (did you mean '@here'?)
    """
    if text.removeprefix("@") in _ALL and text.startswith("@"):
        return f"<!{text[1:]}>"
    if _TOKEN.fullmatch(text):
        return text
    near = did_you_mean(text, [f"@{name}" for name in _ALL])
    raise ValueError(f"{text!r} is not a mention{near or f': write {_FORMS}; Slack shows the id of either'}")


def _several(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{value!r} is no mention, nor a list of them: write {_FORMS}")
    return value


Mentions = Annotated[
    tuple[Annotated[str, AfterValidator(mention_token)], ...],
    BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...]),
]
"""Mentions as they are configured, one or several; kept as tokens."""
