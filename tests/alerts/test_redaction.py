"""Secrets are hidden in whatever form a library or a log shows them."""

from __future__ import annotations

import json

import pytest

from alerts.receivers.redaction import Redaction

SECRETS = [
    'pa"ss\\word1',
    "it's-a-\\-secret",
    "both-'-and-\"-quotes",
    "p\u00e4ssw\u00f6rt-geheim",
    "tab\tinside-secret",
    "multi\nline-secret-abc",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_form_of_a_secret_is_shown(secret: str) -> None:
    redaction = Redaction([secret])
    shown = [
        str(ValueError(secret, 'others have "both" kinds')),
        repr([secret, secret.encode()]),
        repr(f'it\'s "{secret}"'),
        repr(f'it\'s "{secret}"'.encode()),
    ]
    for text in (*shown, *map(json.dumps, shown), json.dumps(shown, ensure_ascii=False)):
        hidden = redaction.hide(text)
        assert "[secret]" in hidden
        for part in (secret[:5], secret[-7:], repr(secret)[1:6], repr(secret.encode())[-8:-1]):
            assert part not in hidden, hidden
