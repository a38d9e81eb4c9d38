"""Slack through a bot token: one message an episode, edited on each transition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from alerts.clock import Clock
from alerts.plain_text import one_line
from alerts.receivers.body import read_body
from alerts.receivers.kind import Probed
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from alerts.receivers.slack.answers import UnexpectedAnswerError
from alerts.receivers.slack.bot_probe import BotProbe
from alerts.receivers.slack.channel_names import CHANNEL_ID
from alerts.receivers.slack.clients import BoundedWebClient
from alerts.receivers.slack.message import SlackMessage, called, message, metadata, reply, rise
from alerts.receivers.slack.slack_settings import SlackSettings
from alerts.secrets import Resolve, SecretError

log = structlog.get_logger(__name__)

POST, EDIT, RISE, REPLY = "post", "edit", "rise", "reply"
_ANSWERED = "answered"  # status 200 without an answer of Slack's: what was sent has probably arrived

_PAGE = 200  # messages or channels a page, as Slack recommends at most
_PAGES = 10  # most that a search reads; a message it has not found by then counts as not posted
_CLOCK_MARGIN_S = 600.0  # allowed difference between this machine's clock and Slack's
_NOT_EDITABLE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message"})
_THREAD_GONE = frozenset({"thread_not_found", "message_not_found"})


class SlackReceiver:
    """Posts the first transition of an episode, edits that message on later ones, replies on resolve.

    An edit notifies nobody, so a rise of severity is a reply as well, which Slack also shows in the channel.
    An episode that comes back after its end is an edit.

    A message that may have been posted before (a timeout, a crash) is searched for by its metadata, and
    posted again only where it is not found. Where the token may not read the channel it is posted again,
    and may appear twice; it is parked instead after an answer that is not Slack's, which would repeat itself.

    Parameters
    ----------
    client
        Slack's Web API, which raises what the sender handles.
    channel
        Name or id.
    mention
        Whom it calls where a critical alert begins, as Slack's tokens.
    """

    def __init__(self, client: BoundedWebClient, channel: str, mention: Sequence[str] = ()) -> None:
        self._client = client
        self._channel = channel
        self._mention = tuple(mention)
        self._id = channel if CHANNEL_ID.fullmatch(channel) else None

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
        """Do the remaining steps: ``post``, or ``edit`` and then ``rise`` or ``reply``.

        Raises
        ------
        RetryableError
            On 408, 425, 429 and 5xx (after their Retry-After), temporary errors, and where no answer comes.
        PermanentError
            On any other error; the reason is Slack's name for it.
        """
        done: dict[str, str] = {}

        def note(step: str, result: str) -> None:
            done[step] = result
            record(step, result)

        try:
            self._do_steps(delivery, note)
        except UnexpectedAnswerError:
            record(_ANSWERED, "200")
            raise
        return done.get(POST, "")

    def link(self, place: str) -> str:
        """Where people find a message; empty where the server gives no links.

        Parameters
        ----------
        place
            What `deliver` answered: channel and `ts`.
        """
        channel, _, ts = place.partition(":")
        try:
            found = self._call("chat_getPermalink", channel=channel, message_ts=ts).get("permalink")
        except (PermanentError, RetryableError):
            return ""
        return one_line(found) if isinstance(found, str) else ""

    def probe(self, name: str) -> Probed:
        """Ask Slack whether it could post, and post nothing.

        Parameters
        ----------
        name
            The receiver's name in the configuration.

        Raises
        ------
        ReceiverError
            With what keeps it from posting, and the remedy.
        """
        return BotProbe(self._client, self._channel, self._id, name).look()

    def _do_steps(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        posts = [steps[POST] for steps in delivery.earlier if POST in steps]
        if POST in delivery.steps:
            return
        if not posts or not self._edited(delivery, posts[-1], record):
            self._post(delivery, record)
            return
        alert = read_body(delivery)
        if alert.is_over:
            self._reply(delivery, REPLY, posts[-1], record)
        elif delivery.rises_to(alert.severity):
            self._reply(delivery, RISE, posts[-1], record)

    def _post(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        place = self._posted_before(delivery) if delivery.in_doubt else None
        if place is None:
            posted = message(delivery, called(delivery, self._mention))
            place = self._send(posted, metadata(delivery, POST))
        record(POST, place)

    def _edited(self, delivery: Delivery, place: str, record: Callable[[str, str], None]) -> bool:
        """Update the message; False where it can no longer be edited (somebody deleted it)."""
        if EDIT in delivery.steps:
            return True
        channel, _, ts = place.partition(":")
        try:
            self._call("chat_update", channel=channel, ts=ts, **message(delivery).arguments)
        except RetryableError as error:
            error.edits = error.retry_after_s is not None
            raise
        except PermanentError as error:
            if str(error) not in _NOT_EDITABLE:
                raise
            log.info("message gone, posting anew", delivery=delivery.short_key, reason=str(error))
            return False
        record(EDIT, place)
        return True

    def _reply(self, delivery: Delivery, step: str, place: str, record: Callable[[str, str], None]) -> None:
        if step in delivery.steps:
            return
        answer = self._replied_before(delivery, step, place) if delivery.in_doubt else None
        if answer is None:
            is_rise = step == RISE
            text = rise(delivery, called(delivery, self._mention)) if is_rise else reply(delivery)
            _, _, ts = place.partition(":")
            try:
                answer = self._send(text, metadata(delivery, step), thread_ts=ts, reply_broadcast=is_rise)
            except PermanentError as error:
                if str(error) not in _THREAD_GONE:
                    raise
                # somebody has deleted the message since it was edited
                log.info("thread gone", delivery=delivery.short_key, reason=str(error))
                if is_rise:
                    self._post(delivery, record)
                return
        record(step, answer)

    def _send(self, text: SlackMessage, carried: Mapping[str, Any], **more: str | bool) -> str:
        answer = self._call(
            "chat_postMessage",
            channel=self._id or self._channel,
            **text.arguments,
            mrkdwn=False,
            metadata=dict(carried),
            unfurl_links=False,
            unfurl_media=False,
            **more,
        )
        self._id = str(answer["channel"])
        return f"{self._id}:{answer['ts']}"

    def _posted_before(self, delivery: Delivery) -> str | None:
        try:
            channel = self._id or self._look_up_channel()
            if channel is None:
                raise PermanentError("channel_not_found")  # noqa: TRY301 - as Slack would say it
            oldest = f"{max(delivery.created_at - _CLOCK_MARGIN_S, 0.0):.6f}"
            posted = self._pages("conversations_history", "messages", channel=channel, oldest=oldest)
            return _place(channel, posted, metadata(delivery, POST))
        except PermanentError as error:
            _cannot_search(delivery, error)
            return None

    def _replied_before(self, delivery: Delivery, step: str, place: str) -> str | None:
        channel, _, ts = place.partition(":")
        try:
            replies = self._pages("conversations_replies", "messages", channel=channel, ts=ts)
            return _place(channel, replies, metadata(delivery, step))
        except PermanentError as error:
            _cannot_search(delivery, error)
            return None

    def _look_up_channel(self) -> str | None:
        name = self._channel.removeprefix("#")
        refused: PermanentError | None = None
        for kind in ("public_channel", "private_channel"):  # each needs its own scope
            try:
                for channel in self._pages("users_conversations", "channels", types=kind):
                    if channel.get("name") == name:
                        self._id = str(channel["id"])
                        return self._id
            except PermanentError as error:
                refused = error
        if refused is not None:
            raise refused
        return None

    def _pages(self, method: str, items: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        if items == "messages":
            arguments["include_all_metadata"] = True
        for _ in range(_PAGES):
            answer = self._call(method, limit=_PAGE, **arguments)
            yield from answer[items]
            more = answer.get("response_metadata")
            arguments["cursor"] = more.get("next_cursor") if isinstance(more, Mapping) else None
            if not arguments["cursor"]:
                return

    def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = getattr(self._client, method)(**arguments).data
        return answer


def bot_receiver(name: str, settings: SlackSettings, resolve: Resolve, clock: Clock) -> SlackReceiver:
    """Build the receiver for a bot token.

    Raises
    ------
    SecretError
        When the token is missing, or cannot be sent as a header.
    ReceiverError
        When it cannot work as it is configured.
    """
    assert settings.token is not None  # noqa: S101 - held by the settings' validator
    assert settings.channel is not None  # noqa: S101 - likewise
    token = resolve(settings.token)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SecretError(
            f"the token of Slack receiver {name} is not a token: it holds spaces or odd characters",
            "token",
        )
    return SlackReceiver(BoundedWebClient(token, settings, clock), settings.channel, settings.mention)


def _place(channel: str, messages: Iterator[Mapping[str, Any]], wanted: Mapping[str, Any]) -> str | None:
    for posted in messages:
        carried = posted.get("metadata")
        if not isinstance(carried, Mapping):
            continue
        if carried.get("event_type") != wanted["event_type"]:
            continue
        if carried.get("event_payload") == wanted["event_payload"]:
            return f"{channel}:{posted['ts']}"
    return None


def _cannot_search(delivery: Delivery, error: PermanentError) -> None:
    if _ANSWERED in delivery.steps:
        raise PermanentError(
            f"unexpected_answer: the message has probably arrived, and cannot be looked up ({error}): "
            "give the token the scope, or look yourself",
            in_doubt=True,
        ) from error
    log.warning(
        "cannot look for an earlier post, posting again", delivery=delivery.short_key, reason=str(error)
    )
