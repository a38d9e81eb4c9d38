"""Draws the pictures of the README anew, from a real run: `make pictures`.

`demo.svg` is what a terminal shows while `tapewatch demo` runs in it. `slack-alert.png` shows alerts of that
run as the Slack receiver sends them: its blocks, put into a page like a chat, photographed by Chromium.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.message import SlackMessage, message, reply

HERE = Path(__file__).parent
COLUMNS, ROWS = 132, 36
AT_PERCENT = 86  # by then most has happened, and the table still stands
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EMOJI = {
    ":warning:": "⚠️",
    ":rotating_light:": "🚨",
    ":information_source:": "ℹ️",
    ":white_check_mark:": "✅",
}
COLOURS = {"brown": "yellow"}  # by the names of pyte, where those of rich are others
WIDTH, HEIGHT, SCALE = 760, 490, 1.5

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; font: 15px/1.47 "Noto Sans", "DejaVu Sans", sans-serif; color: #1d1c1d; background: #fff }}
header {{ padding: 12px 20px; border-bottom: 1px solid #ddd; font-weight: bold }}
article {{ display: flex; gap: 10px; padding: 12px 20px 0 }}
article.reply {{ margin-left: 46px }}
.face {{ width: 36px; height: 36px; border-radius: 6px; background: #17324d; color: #fff; font-size: 14px;
  font-weight: bold; line-height: 36px; text-align: center; flex: none }}
.reply .face {{ width: 24px; height: 24px; line-height: 24px; font-size: 11px }}
.who b {{ margin-right: 6px }}
.badge {{ background: #eee; border-radius: 2px; font-size: 10px; padding: 1px 3px; color: #616061 }}
.when, .context {{ color: #616061; font-size: 12px }}
.block {{ margin: 2px 0 6px }}
.fields {{ display: grid; grid-template-columns: 1fr 1fr; gap: 6px 20px; font-size: 14px }}
</style><header># trading-desk</header>{messages}"""

MESSAGE = """<article class="{kind}"><div class="face">tw</div><div><div class="who"><b>tapewatch</b>
<span class="badge">APP</span> <span class="when">{when}</span></div>{blocks}</div></article>"""


def main() -> int:
    """Run the demonstration once, and draw what it showed."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return 1
    with TemporaryDirectory() as room:
        store = Path(room) / "demo.db"
        (HERE / "demo.svg").write_text(as_svg(watched(store)))
        page = Path(room) / "slack.html"
        page.write_text(PAGE.format(messages="".join(chat(alerts_in(store)))))
        photograph(browser, page, HERE / "slack-alert.png")
    return 0


def watched(store: Path) -> pyte.Screen:
    """Run the demonstration in a terminal; the terminal as it stood shortly before the end."""
    terminal, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "streamer", "demo", "--store", str(store)]
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(HERE.parents[1])}
    running = subprocess.Popen(command, stdin=program, stdout=program, stderr=program, env=environment)
    os.close(program)
    screen = pyte.Screen(COLUMNS, ROWS)
    seen, kept = pyte.ByteStream(screen), None
    while piece := _read(terminal):
        seen.feed(piece)
        percent = re.search(r"\((\d+)%\) .* alerts?\s*$", "\n".join(screen.display).rstrip())
        if kept is None and percent and int(percent[1]) >= AT_PERCENT:
            kept = pyte.Screen(COLUMNS, ROWS)
            for row, line in screen.buffer.items():
                kept.buffer[row].update(line)
    os.close(terminal)
    if running.wait() != 0 or kept is None:
        raise RuntimeError("the demonstration failed:\n" + "\n".join(screen.display))
    return kept


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # so ends a terminal that nobody writes to any more
        return b""


def as_svg(screen: pyte.Screen) -> str:
    """The picture of a terminal, with no font but those that are there."""
    drawn = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        line = Text(no_wrap=True)
        for look, run in groupby(cells, key=_style):
            line.append("".join(cell.data for cell in run), look)
        line.rstrip()
        drawn.print(line)
    plain = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return drawn.export_svg(title="tapewatch demo", code_format=plain, unique_id="demo")


def _style(cell: pyte.screens.Char) -> Style:
    return Style(color=COLOURS.get(cell.fg, cell.fg), bold=cell.bold, italic=cell.italics)


def alerts_in(store: Path) -> list[dict[str, Any]]:
    """Every transition of the run."""
    command = [sys.executable, "-m", "streamer", "alerts", "--store", str(store), "--json", "-n", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parents[1])
    return [json.loads(line) for line in done.stdout.splitlines()]


def chat(alerts: list[dict[str, Any]]) -> list[str]:
    """An alert that is over, as it was edited and with the reply in its thread, and one that goes on."""
    over = next(each for each in alerts if (each["rule"], each["transition"]) == ("price_spike", "resolved"))
    begun = next(each for each in alerts if (each["rule"], each["transition"]) == ("spoofing", "fired"))
    return [
        as_html(message(owed(over)), over, "message"),
        as_html(reply(owed(over)), over, "reply"),
        as_html(message(owed(begun)), begun, "message"),
    ]


def owed(alert: Mapping[str, Any]) -> Delivery:
    """What the Slack receiver is handed."""
    return Delivery(alert["id"], alert["number"], "desk", json.dumps(alert).encode())


def as_html(sent: SlackMessage, alert: Mapping[str, Any], kind: str) -> str:
    """One message; the time beside the name is the event's."""
    blocks = "".join(_block(block) for block in sent.blocks)
    return MESSAGE.format(kind=kind, when=alert["ts_event"][11:16], blocks=blocks)


def _block(block: Mapping[str, Any]) -> str:
    if block["type"] == "context":
        inside = "".join(f'<div class="context">{_marked(each["text"])}</div>' for each in block["elements"])
    elif "fields" in block:
        fields = "".join(f"<div>{_marked(each['text'])}</div>" for each in block["fields"])
        inside = f'<div class="fields">{fields}</div>'
    else:
        inside = _marked(block["text"]["text"])
    return f'<div class="block">{inside}</div>'


def _marked(text: str) -> str:
    """Slack's markup as HTML; Slack's escapes are HTML's."""
    for name, picture in EMOJI.items():
        text = text.replace(name, picture)
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", text).replace("\n", "<br>")


def photograph(browser: str, page: Path, picture: Path) -> None:
    """A page as a picture."""
    options = ["--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars"]
    options += [f"--window-size={WIDTH},{HEIGHT}", f"--force-device-scale-factor={SCALE}"]
    command = [browser, *options, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
