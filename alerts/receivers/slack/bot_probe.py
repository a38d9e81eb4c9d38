"""Asks Slack whether a bot could post: its token, its scopes, the channel, its membership."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.durations import spoken
from alerts.plain_text import one_line
from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_probe import with_remedy
from alerts.receivers.kind import Probed
from alerts.receivers.receiver import PermanentError, RetryableError, reason_code
from alerts.receivers.slack.channel_names import PERSON_ID
from alerts.receivers.slack.clients import BoundedWebClient
from alerts.receivers.slack.remedies import invitation, remedy

_POST, _POST_ANYWHERE = "chat:write", "chat:write.public"
_SEARCH = {False: ("channels:history", "channels:read"), True: ("groups:history", "groups:read")}
_PAGE, _PAGES = 500, 10  # channels a page, and pages, that a name is looked for in
_NAME_LENGTH = 80  # characters of a channel, as Slack limits them


@dataclass(frozen=True, slots=True)
class _Bot:
    """Who the token is, and what it may do; None where the server does not say."""

    name: str
    team: str
    scopes: frozenset[str] | None


class BotProbe:
    """One look at Slack, of two to four calls, none of which posts anything.

    Parameters
    ----------
    client
        Slack's Web API.
    channel
        Name or id.
    id_of_channel
        Its id; None where `channel` is a name.
    receiver
        The receiver's name in the configuration.
    """

    def __init__(
        self, client: BoundedWebClient, channel: str, id_of_channel: str | None, receiver: str
    ) -> None:
        self._client = client
        self._channel = channel
        self._id = id_of_channel
        self._receiver = receiver

    def look(self) -> Probed:
        """Look.

        Raises
        ------
        ReceiverError
            With what keeps the bot from posting, and the remedy.
        """
        bot = self._who()
        if bot.scopes is not None and not bot.scopes & {_POST, _POST_ANYWHERE}:
            raise ReceiverError(
                f"the token lacks the scope {_POST}: add it under OAuth & Permissions, and install the "
                "app again",
                "token",
            )
        if PERSON_ID.fullmatch(self._channel):
            later = "what was posted is not looked for, so after a crash a message may appear twice"
            return Probed(
                f"@{bot.name} ({bot.team}) to the person {self._channel}",
                (f"whether there is such a person was not seen; {later}: the id of a channel is surer",),
            )
        try:
            place = self._by_name(bot) if self._id is None else self._by_id(bot)
        except PermanentError as error:
            if reason_code(str(error)) not in ("missing_scope", "unknown_method", "not_allowed_token_type"):
                raise self._refused(error, bot, "channel") from error
            place = None
        except RetryableError as error:
            raise self._away(error) from error
        found = f"@{bot.name} ({bot.team}) in {self._channel}"
        if place is None:
            needed = "channels:read (groups:read for a private channel)"
            return Probed(found, (f"whether the channel is there was not seen: give the token {needed}",))
        return Probed(self._said(found, place), self._notes(bot, place))

    def _who(self) -> _Bot:
        try:
            answer = self._client.auth_test()
        except PermanentError as error:
            raise self._refused(error, _Bot("", "", None), "token") from error
        except RetryableError as error:
            raise self._away(error) from error
        data: Mapping[str, Any] = answer.data if isinstance(answer.data, dict) else {}
        given = answer.headers.get("x-oauth-scopes")
        scopes = None if given is None else frozenset(part.strip() for part in given.split(","))
        return _Bot(_shown(data.get("user")), _shown(data.get("team")), scopes)

    def _by_id(self, bot: _Bot) -> Mapping[str, Any]:
        answer = self._client.conversations_info(channel=str(self._id)).data
        place = answer.get("channel") if isinstance(answer, dict) else None
        return self._checked(place if isinstance(place, dict) else {}, bot)

    def _by_name(self, bot: _Bot) -> Mapping[str, Any]:
        """A channel that the bot is in, or else a public one that it is not in."""
        name = self._channel.removeprefix("#")
        refused: PermanentError | None = None
        for kind in ("public_channel", "private_channel"):  # each needs its own scope
            try:
                place = self._found(name, "users_conversations", kind)
            except PermanentError as error:
                refused = error
                continue
            if place is not None:
                return self._checked({"is_member": True, **place}, bot)
        place = self._found(name, "conversations_list", "public_channel")
        if place is not None:
            return self._checked(place, bot)
        if refused is not None:
            raise refused
        raise PermanentError("channel_not_found")

    def _found(self, name: str, method: str, kind: str) -> Mapping[str, Any] | None:
        cursor = ""
        for _ in range(_PAGES):
            more = {"cursor": cursor} if cursor else {}
            answer: Any = getattr(self._client, method)(types=kind, limit=_PAGE, **more).data
            for place in answer.get("channels") or ():
                if isinstance(place, dict) and place.get("name") == name:
                    return place
            following = answer.get("response_metadata")
            cursor = str(following.get("next_cursor") or "") if isinstance(following, dict) else ""
            if not cursor:
                break
        return None

    def _checked(self, place: Mapping[str, Any], bot: _Bot) -> Mapping[str, Any]:
        if place.get("is_archived") is True:
            raise PermanentError("is_archived")
        is_open = not place.get("is_private") and bot.scopes is not None and _POST_ANYWHERE in bot.scopes
        if place.get("is_member") is False and not place.get("is_im") and not is_open:
            raise PermanentError("not_in_channel")
        return place

    def _said(self, found: str, place: Mapping[str, Any]) -> str:
        name = place.get("name")
        if self._id is None or not isinstance(name, str):
            return found
        return f"{found} (#{_shown(name)})"

    def _notes(self, bot: _Bot, place: Mapping[str, Any]) -> tuple[str, ...]:
        if bot.scopes is None:
            return ()
        if place.get("is_member") is False:
            later = "so after a crash a message may appear twice"
            return (f"the bot is not in the channel, {later}: {invitation(bot.name, self._receiver)}",)
        lacking = [scope for scope in _SEARCH[place.get("is_private") is True] if scope not in bot.scopes]
        if not lacking:
            return ()
        return (
            f"the token lacks {' and '.join(lacking)}: after a crash a message may appear twice; add the "
            "scopes, and install the app again",
        )

    def _refused(self, error: PermanentError, bot: _Bot, option: str) -> ReceiverError:
        code = reason_code(str(error))
        what = remedy(code, channel=self._channel, bot=bot.name, receiver=self._receiver)
        needed = _needed(error.answer) if code == "missing_scope" else ""
        said = ": ".join(part for part in (code if what else with_remedy(str(error)), what, needed) if part)
        if code.startswith(("http_", "proxy")):
            option = "api_url"
        return ReceiverError(said, option)

    def _away(self, error: RetryableError) -> ReceiverError:
        code = reason_code(str(error))
        what = remedy(code)
        if code in ("ratelimited", "http_429") and error.retry_after_s is not None:
            what = f"Slack asks for a pause: try again in {spoken(max(error.retry_after_s, 1.0))}"
        return ReceiverError(f"{code}: {what}" if what else with_remedy(str(error)), "api_url")


def _needed(answer: str) -> str:
    try:
        needed = json.loads(answer).get("needed")
    except (ValueError, AttributeError):
        return ""
    return _shown(needed) if needed else ""


def _shown(text: object) -> str:
    return one_line(str(text or ""))[:_NAME_LENGTH]
