"""Draws the pictures of the README anew, from a real run: `make pictures`.

`demo.svg` is what a terminal shows while `tapewatch demo` runs in it. `slack-alert.png` shows alerts of that
run as the Slack receiver sends them: its blocks, put into a page like a chat, photographed by Chromium.
`slack-messages.png` and `slack-phone.png` show one episode from beginning to end (`situations.py`): in
the channel and as a phone announces it.
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
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyte
import situations
from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.message import SlackMessage, message, reply
from alerts.rule_settings import RulesSettings

HERE = Path(__file__).parent
COLUMNS, ROWS = 132, 36
AT_PERCENT = 86  # by then most has happened, and the table still stands
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = {"brown": "yellow"}  # by the names of pyte, where those of rich are others
WIDTH, HEIGHT, SCALE = 760, 560, 1.5
PHONE_WIDTH = 420
DATE = re.compile(r"<!date\^(\d+)\^([^|]*)\|[^>]*>")

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
.header {{ font-size: 17px; font-weight: bold; margin-top: 4px }}
.call {{ background: #fbf3d5; color: #1264a3; border-radius: 3px; padding: 0 2px }}
h2 {{ font-size: 11px; text-transform: uppercase; letter-spacing: .06em; color: #8a8a8a;
  margin: 18px 20px -6px }}
</style><header># trading-desk</header>{messages}"""

MESSAGE = """<article class="{kind}"><div class="face">tw</div><div><div class="who"><b>tapewatch</b>
<span class="badge">APP</span> <span class="when">{when}</span></div>{note}{blocks}</div></article>"""

PHONE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px; font: 14px/1.35 "Noto Sans", "DejaVu Sans", sans-serif; color: #111;
  background: #3d4663 }}
article {{ background: rgba(255, 255, 255, .92); border-radius: 16px; padding: 10px 14px;
  margin-bottom: 10px }}
.app {{ display: flex; justify-content: space-between; font-size: 12px; color: #555 }}
p {{ margin: 3px 0 0; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical;
  overflow: hidden }}
</style>{cards}"""

CARD = """<article><div class="app"><span>Slack · #trading-desk</span><span>now</span></div>
<p><b>tapewatch:</b> {text}</p></article>"""


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
        page.write_text(PAGE.format(messages="".join(situations_chat())))
        photograph(browser, page, HERE / "slack-messages.png", height=1_285)
        page.write_text(PHONE.format(cards="".join(map(card, situations.announced()))))
        photograph(browser, page, HERE / "slack-phone.png", PHONE_WIDTH, 470)
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
    rules = RulesSettings.model_validate({"extends": ["crypto", "market-data-quality", "surveillance"]})
    why = rules.enabled[alert["rule"]].why or ""
    return Delivery(alert["id"], alert["number"], "desk", json.dumps(alert).encode(), why=why)


def situations_chat() -> list[str]:
    """Each situation under its name."""
    return [
        f"<h2>{each.name}</h2>" + as_html(each.sent, each.body, each.kind, each.note)
        for each in situations.situations()
    ]


def card(text: str) -> str:
    """What a phone shows of a message; Slack's escapes are HTML's."""
    return CARD.format(text=text)


def as_html(sent: SlackMessage, alert: Mapping[str, Any], kind: str, note: str = "") -> str:
    """One message; the time beside the name is the event's."""
    blocks = "".join(_block(block) for block in sent.blocks)
    note = f'<div class="when">{note}</div>' if note else ""
    return MESSAGE.format(kind=kind, when=alert["ts_event"][11:16], note=note, blocks=blocks)


def _block(block: Mapping[str, Any]) -> str:
    if block["type"] == "context":
        inside = "".join(f'<div class="context">{_shown(each)}</div>' for each in block["elements"])
    elif block["type"] == "header":
        inside = f'<div class="header">{_shown(block["text"])}</div>'
    else:
        inside = _shown(block["text"])
    return f'<div class="block">{inside}</div>'


def _shown(text: Mapping[str, Any]) -> str:
    """A text as HTML; Slack's escapes are HTML's, and in plain text there is nothing else."""
    shown = text["text"].replace("\n", "<br>")
    if text["type"] == "plain_text":
        return shown
    shown = DATE.sub(_time, shown)
    return re.sub(r"<!(here|channel|everyone)>", r'<span class="call">@\1</span>', shown)


def _time(found: re.Match[str]) -> str:
    """A time as Slack shows it on its day, to a reader in Coordinated Universal Time."""
    at = datetime.fromtimestamp(int(found[1]), UTC)
    return found[2].replace("{date_short_pretty}", "Today at").replace("{time_secs}", f"{at:%H:%M:%S}")


def photograph(browser: str, page: Path, picture: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """A page as a picture."""
    options = ["--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars"]
    options += [f"--window-size={width},{height}", f"--force-device-scale-factor={SCALE}"]
    command = [browser, *options, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    Image.open(picture).convert("RGB").quantize(96).save(picture, optimize=True)  # a third of the size


if __name__ == "__main__":
    sys.exit(main())
