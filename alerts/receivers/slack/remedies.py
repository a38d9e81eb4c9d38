"""What to do about the errors that Slack names."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.receivers.kind import retry_command

_INSTALL = "install the app to the workspace again, and use its new Bot User OAuth Token (xoxb-...)"

_REMEDIES: Mapping[str, str] = {
    "invalid_auth": "Slack does not know the token: copy the app's Bot User OAuth Token (xoxb-...) again",
    "not_authed": "no token arrived at Slack: look at api_url and proxies",
    "token_revoked": f"the token was revoked: {_INSTALL}",
    "account_inactive": f"the token's app was removed, or its workspace closed: {_INSTALL}",
    "token_expired": f"the token has expired: turn token rotation off for the app, {_INSTALL}",
    "not_allowed_token_type": "this is another kind of token: use a Bot User OAuth Token (xoxb-...)",
    "two_factor_setup_required": "the workspace requires two-factor authentication of this account",
    "org_login_required": "the workspace is being moved into an organisation: wait until that is done",
    "ekm_access_denied": "an administrator has suspended messages: ask them",
    "restricted_action": "an administrator restricts who may post there: ask them, or name another channel",
    "restricted_action_read_only_channel": "only some may post there: ask its managers, or name another",
    "http_204": "it answers with nothing, so it is no Slack: look at api_url",
    "http_403": "what answers refuses, before Slack is asked: look at api_url, proxies and firewalls",
    "is_archived": "the channel is archived: unarchive it in Slack, or name another",
    "unknown_method": "the server is no Slack, or lacks this method: look at api_url",
    "ratelimited": "Slack asks for a pause: try again in a minute",
}
"""By Slack's name; what needs the channel or the bot stands in the functions."""


def remedy(name: str, *, channel: str = "", bot: str = "", receiver: str = "") -> str:
    """What an error of Slack means and what to do; empty where there is nothing to add to its name.

    Parameters
    ----------
    name
        The error's name.
    channel, bot
        The channel, and the bot's name without ``@``; empty where they are not known.
    receiver
        The receiver's name in the configuration.

    Examples
    --------
    >>> remedy("is_archived")
    'the channel is archived: unarchive it in Slack, or name another'
    """
    if name == "not_in_channel":
        return f"the bot is not in {channel}: {invitation(bot, receiver)}"
    if name == "channel_not_found":
        return (
            f"no channel {channel} that the bot can see: check its name; if it is private, "
            f"{invitation(bot, receiver)}"
        )
    if name == "missing_scope":
        return "the token lacks a scope: add it under OAuth & Permissions, and install the app again"
    return _REMEDIES.get(name, "")


def invitation(bot: str, receiver: str) -> str:
    """How to bring a bot into a channel.

    Parameters
    ----------
    bot
        Its name without ``@``.
    receiver
        The receiver's name in the configuration.

    Examples
    --------
    >>> invitation("tapewatch", "desk")
    'invite the bot: /invite @tapewatch, then `tapewatch alerts --retry-parked desk`'
    """
    return f"invite the bot: /invite @{bot or 'the-app'}, then `{retry_command(receiver)}`"
