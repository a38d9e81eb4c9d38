"""The manifest of the Slack app that the receiver acts as."""

from __future__ import annotations

SLACK_MANIFEST = """\
# A Slack app for tapewatch. At https://api.slack.com/apps: Create New App, From a manifest, paste this
# file; then Install to Workspace, and put the Bot User OAuth Token (xoxb-...) where the configuration's
# `token` looks for it. In Slack, /invite @tapewatch in the channel.
_metadata:
  major_version: 1
display_information:
  name: tapewatch
  description: Anomaly alerts for trading events
features:
  bot_user:
    display_name: tapewatch
    always_online: false
oauth_config:
  scopes:
    bot:
      - chat:write           # post alerts, edit them when they resolve
      - channels:read        # find a public channel by its name
      - channels:history     # look whether a message arrived before it is sent again
      - groups:read          # the same for private channels: leave these two out if there are none
      - groups:history
settings:
  org_deploy_enabled: false
  socket_mode_enabled: false
  token_rotation_enabled: false
"""
"""YAML, with the scopes that the receiver needs and no more."""
