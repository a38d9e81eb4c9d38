"""Texts cut to what Slack takes: 3,000 characters a section, 50 blocks, about 13,000 in all."""

from __future__ import annotations

from typing import Final

SECTION_LENGTH: Final = 3_000
"""Characters of one section's text, escapes included."""

HEADER_LENGTH: Final = 150
"""Characters of a header."""

_SECTIONS = 4  # 12,000 characters of text; header, times and the rest take less than a thousand
_PIECE = SECTION_LENGTH - 60  # leaves room for the line that counts what is left out
_ELLIPSIS = "…"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str, limit: int) -> str:
    """Escape Slack's three control characters and cut to the limit, never inside an escape.

    This way no text can mention a channel or become a link
    (https://docs.slack.dev/messaging/formatting-message-text#escaping).

    Examples
    --------
    >>> escape("<!channel> P&L", 100)
    '&lt;!channel&gt; P&amp;L'
    >>> escape("aaaa>b", 6)
    'aaaa…'
    """
    escaped = [_ESCAPES.get(character, character) for character in text]
    if sum(map(len, escaped)) <= limit:
        return "".join(escaped)
    room = limit - len(_ELLIPSIS)
    kept = []
    for piece in escaped:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _ELLIPSIS


def parts(text: str) -> list[str]:
    r"""A text of any length, escaped, as the texts of one section after the other.

    It is parted between lines; what does not fit into a message is counted in a last line.

    Examples
    --------
    >>> parts("a < b")
    ['a &lt; b']
    >>> many = parts("\n".join(f"line {n:04} " + "x" * 90 for n in range(200)))
    >>> len(many), many[-1].rsplit("\n", 1)[1]
    (4, '… and 84 more lines, all in `tapewatch alerts`')
    """
    lines = [piece for line in text.split("\n") for piece in _pieces(line)] if text else []
    sections: list[str] = []
    for number, line in enumerate(lines):
        joined = f"{sections[-1]}\n{line}" if sections else line
        is_last = len(sections) == _SECTIONS
        room = SECTION_LENGTH if not is_last or number == len(lines) - 1 else _PIECE
        if sections and len(joined) <= room:
            sections[-1] = joined
        elif not is_last:
            sections.append(line)
        else:
            sections[-1] += f"\n{_ELLIPSIS} and {len(lines) - number:,} more lines, all in `tapewatch alerts`"
            break
    return [section for section in sections if section.strip()]


def _pieces(line: str) -> list[str]:
    """A line, escaped, in pieces that fit into a section; one that is too long is parted between words."""
    pieces: list[str] = []
    while True:
        cut = escape(line, _PIECE)
        if not cut.endswith(_ELLIPSIS) or line.endswith(_ELLIPSIS):
            return [*pieces, cut]
        kept = cut[:-1].rsplit(" ", 1)[0] or cut[:-1]
        pieces.append(kept)
        line = line[len(_unescaped(kept)) :].lstrip(" ")


def _unescaped(escaped: str) -> str:
    for character, name in reversed(_ESCAPES.items()):
        escaped = escaped.replace(name, character)
    return escaped
