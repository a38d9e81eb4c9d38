"""Slack: through a bot token (`bot`), or through an incoming webhook (`incoming_webhook`)."""

from __future__ import annotations

from alerts.clock import Clock
from alerts.receivers.kind import Probed, ReceiverKind
from alerts.receivers.receiver import Receiver
from alerts.receivers.slack.slack_settings import SlackSettings
from alerts.secrets import Resolve
from alerts.stages.spending import EDITS

__all__ = ["RECEIVER", "SlackSettings"]


def _build(name: str, settings: SlackSettings, resolve: Resolve, clock: Clock) -> Receiver:
    if settings.incoming_webhook is None:
        from alerts.receivers.slack.bot import bot_receiver

        return bot_receiver(name, settings, resolve, clock)
    from alerts.receivers.slack.incoming_webhook import incoming_webhook_receiver

    return incoming_webhook_receiver(name, settings, resolve, clock)


def _probe(name: str, settings: SlackSettings, resolve: Resolve, clock: Clock) -> Probed:
    if settings.incoming_webhook is None:
        from alerts.receivers.slack.bot import bot_receiver

        return bot_receiver(name, settings, resolve, clock).probe(name)
    from alerts.receivers.slack.incoming_webhook import incoming_webhook_receiver

    return incoming_webhook_receiver(name, settings, resolve, clock).probe()


def _link(receiver: Receiver, answered: str) -> str:
    from alerts.receivers.slack.bot import SlackReceiver

    return receiver.link(answered) if isinstance(receiver, SlackReceiver) else ""


def _edits(settings: SlackSettings) -> int | None:
    return EDITS if settings.incoming_webhook is None else None


RECEIVER = ReceiverKind("slack", SlackSettings, _build, _probe, edits=_edits, link=_link)
