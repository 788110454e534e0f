"""`make screens`: pictures of the terminal UI for the README, taken from a real principal and agent at work.

A terminal in tmux is driven by keys; what it shows, with its colours, becomes an SVG in docs/screens/.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from cdktr.text import width
from tests.integration.cluster import ROOT, Cluster
from tests.integration.terminal import HAS_TMUX, Terminal

TARGET = ROOT / "docs" / "screens"

#: Pixels of a cell.
CELL = (8.4, 18)

#: Colours of the terminal's own text and background, and its first eight.
TEXT, GROUND = "#d0d0d0", "#1c1c1c"
EIGHT = ("#1c1c1c", "#d75f5f", "#5faf5f", "#d7af5f", "#5f87d7", "#af87d7", "#5fafaf", "#d0d0d0")

ETL = """
name: Daily ETL
description: Orders and users of yesterday, into the warehouse
cron: 0 0 2 * * *
timezone: Europe/Berlin
params: {day: yesterday}
tasks:
  extract_orders: {name: Extract orders, config: !Subprocess {cmd: sh, args: [step.sh, orders, '30']}}
  extract_users: {name: Extract users, config: !Subprocess {cmd: sh, args: [step.sh, users, '12']}}
  clean:
    name: Clean
    depends: [extract_orders, extract_users]
    config: !Subprocess {cmd: sh, args: [step.sh, rows, '8']}
  check:
    name: Check
    depends: [clean]
    allow_failure: true
    config: !Subprocess {cmd: sh, args: [step.sh, rules, '5', '3']}
  report: {name: Report, depends: [clean], config: !Subprocess {cmd: sh, args: [step.sh, pages, '40']}}
  load: {name: Load, depends: [check, report], config: !Subprocess {cmd: sh, args: [step.sh, tables, '4']}}
"""

STEP = """
for number in $(seq "$2"); do echo "$1: $number of $2"; sleep 0.1; done
[ -z "$3" ] || { echo "$1: one does not hold" >&2; exit "$3"; }
"""

OTHERS = {
    "backup": ("Nightly backup", "0 30 1 * * *"),
    "health": ("Health of the shop", "0 */5 * * * *"),
    "reports.weekly": ("Weekly report", "0 0 7 * * MON"),
}


class Pen:
    """The colours that the sequences of a terminal have set."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Those of the terminal."""
        self.colour, self.ground, self.bold, self.reverse, self.line = TEXT, "", False, False, False

    def follow(self, codes: str) -> None:
        """One sequence of SGR."""
        numbers = iter([int(code or 0) for code in codes.split(";")])
        for code in numbers:
            if code == 0:
                self.reset()
            elif code in (1, 4, 7):
                setattr(self, {1: "bold", 4: "line", 7: "reverse"}[code], True)
            elif code in (38, 48):
                next(numbers)
                setattr(self, "colour" if code == 38 else "ground", colour_of(next(numbers)))
            elif 30 <= code < 38:
                self.colour = EIGHT[code - 30]
            elif code == 39:
                self.colour = TEXT
            elif code == 49:
                self.ground = ""


def colour_of(number: int) -> str:
    """One of 256."""
    if number < 8:
        return EIGHT[number]
    if number >= 232:
        return f"#{(number - 232) * 10 + 8:02x}" + f"{(number - 232) * 10 + 8:02x}" * 2
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    return "#" + "".join(f"{levels[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def pieces(row: str, pen: Pen) -> Iterator[tuple[int, str]]:
    """The texts of a row with the columns where they begin; the pen is as it was for each."""
    column = 0
    for codes, text in re.findall(r"\x1b\[([\d;]*)m|([^\x1b]+)", row):
        # In short pieces: the widths of a font's characters are not all the same.
        for part in re.findall(r"\S+(?: \S+)*| +", text):
            yield column, part
            column += width(part)
        if not text:
            pen.follow(codes)


def svg(screen: str, columns: int, rows: int) -> str:
    """The picture of a screen that was taken with its colours."""
    size = (columns * CELL[0] + 16, rows * CELL[1] + 16)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]:.0f}" height="{size[1]:.0f}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
        f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>',
    ]
    pen = Pen()
    for y, row in enumerate(screen.split("\n")[:rows]):
        for x, text in pieces(row, pen):
            colour, ground = (GROUND, pen.colour) if pen.reverse else (pen.colour, pen.ground)
            left, span = 8 + x * CELL[0], width(text) * CELL[0]
            if ground:
                parts.append(
                    f'<rect x="{left:.1f}" y="{8 + y * CELL[1]}" width="{span:.1f}" height="{CELL[1]}" '
                    f'fill="{ground}"/>'
                )
            if text.strip():
                weight = ' font-weight="bold"' if pen.bold else ""
                parts.append(
                    f'<text x="{left:.1f}" y="{8 + y * CELL[1] + 13}" fill="{colour}"{weight} xml:space="preserve" '
                    f'textLength="{span:.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
                )
    return "\n".join([*parts, "</svg>\n"])


def take(terminal: Terminal, name: str, columns: int, rows: int) -> None:
    """One picture."""
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / f"{name}.svg").write_text(svg(terminal.painted, columns, rows), encoding="utf-8")
    print(f"docs/screens/{name}.svg")


def main() -> None:
    """All pictures."""
    if not HAS_TMUX:
        sys.exit("tmux is not installed: apt-get install tmux")
    size = (110, 30)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        (cluster.folder / "step.sh").write_text(STEP)
        cluster.write("etl/daily", ETL)
        for name, (title, cron) in OTHERS.items():
            text = f"name: {title}\ncron: '{cron}'\ntasks:\n  run: {{name: Run, config: !Subprocess {{cmd: 'true'}}}}\n"
            cluster.write(name.replace(".", "/"), text)
        cluster.start_principal("--no-scheduler")
        cluster.start_agent()
        for name in (*OTHERS, *["etl.daily"] * 3):
            cluster.cli("task", "run", name, "--wait")
        with Terminal(cluster, *size) as terminal:
            terminal.run("ui")
            terminal.shows("Connected")
            terminal.press("/")
            terminal.type("etl")
            terminal.press("Enter", "Escape", "r", "Enter")
            terminal.shows("Started")
            terminal.shows("● report")
            terminal.shows("✗ check")
            take(terminal, "workflows", *size)
            terminal.press("o")
            terminal.shows(r"enter log(.|\n)*\Z")
            terminal.shows(r"(?m)^ *TASK .* 0s ")
            take(terminal, "run", *size)
            terminal.press("l")
            terminal.shows("pages: 20 of")
            take(terminal, "logs", *size)
            terminal.press("2")
            terminal.shows("TRIGGER")
            take(terminal, "runs", *size)
            terminal.press("q")
            terminal.shows("ended 0")


if __name__ == "__main__":
    main()
