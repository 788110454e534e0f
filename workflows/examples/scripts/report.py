"""The steps of the workflow `examples.weekly_report`: the sales of a week, as charts and a document."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, timedelta
from html import escape
from pathlib import Path

from common import BadInput, money, read_json, read_rows, run, write_json, write_text

#: The columns that are needed of the sales file.
SALES = ("sale_id", "day", "product", "quantity", "unit_price")

BY_DAY = "SELECT day, sum(cents) FROM sales WHERE day BETWEEN ? AND ? GROUP BY day"
BY_PRODUCT = """
SELECT product, sum(quantity), sum(cents) FROM sales WHERE day BETWEEN ? AND ? GROUP BY product ORDER BY sum(cents) DESC
"""

#: Of a chart, in pixels.
BAR_HEIGHT, BAR_SPACE, LABEL_WIDTH, CHART_WIDTH, HEAD_HEIGHT = 22, 8, 130, 640, 34


@contextmanager
def sales_of(source: Path) -> Iterator[sqlite3.Connection]:
    """A database with a table `sales`: `source` itself, or one in memory with what the CSV file `source` holds."""
    if source.suffix != ".csv":
        if not source.is_file():
            raise BadInput(f"{source}: there is no such database; the workflow examples.warehouse makes one")
        with closing(sqlite3.connect(str(source), timeout=30)) as connection:
            yield connection
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE sales (sale_id INTEGER, day TEXT, product TEXT, quantity INTEGER, cents INTEGER)"
        )
        for row in read_rows(source, SALES):
            quantity = row.whole("quantity", least=1)
            cells = (
                row.whole("sale_id"),
                row.day("day"),
                row.text("product"),
                quantity,
                quantity * row.cents("unit_price"),
            )
            connection.execute("INSERT INTO sales VALUES (?, ?, ?, ?, ?)", cells)
        yield connection


def query(source: Path, until: str, output: Path) -> None:
    """The sales of the seven days up to `until` or to the newest day, and what the week before them brought."""
    try:
        with sales_of(source) as sales:
            last = day_of(until or sales.execute("SELECT max(day) FROM sales").fetchone()[0], source)
            days = [(last - timedelta(days=back)).isoformat() for back in range(6, -1, -1)]
            by_day = dict(sales.execute(BY_DAY, (days[0], days[-1])).fetchall())
            products = sales.execute(BY_PRODUCT, (days[0], days[-1])).fetchall()
            before = [(last - timedelta(days=back)).isoformat() for back in (13, 7)]
            week_before = sum(cents for _, cents in sales.execute(BY_DAY, before))
    except sqlite3.Error as error:
        raise BadInput(f"{source}: {error}") from None
    found = {
        "days": [{"day": day, "cents": by_day.get(day, 0)} for day in days],
        "products": [{"product": name, "quantity": count, "cents": cents} for name, count, cents in products],
        "cents": sum(by_day.values()),
        "cents_week_before": week_before,
    }
    write_json(output / "sales.json", found)
    print(f"{money(sum(by_day.values()))} from {days[0]} to {days[-1]}, {money(week_before)} the week before")


def day_of(text: str | None, source: Path) -> date:
    """The last day of the week."""
    if text is None:
        raise BadInput(f"{source}: there are no sales in it")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no date such as 2026-01-31") from None


def bar_chart(title: str, bars: Sequence[tuple[str, int]]) -> str:
    """An SVG picture with a bar for each label; the longest is the largest amount."""
    largest = max([cents for _, cents in bars], default=0) or 1
    room = CHART_WIDTH - LABEL_WIDTH - 100
    height = HEAD_HEIGHT + len(bars) * (BAR_HEIGHT + BAR_SPACE)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CHART_WIDTH} {height}" width="{CHART_WIDTH}" '
        'font-family="sans-serif" font-size="13">',
        f'<text x="0" y="18" font-size="16">{escape(title)}</text>',
    ]
    for number, (label, cents) in enumerate(bars):
        top = HEAD_HEIGHT + number * (BAR_HEIGHT + BAR_SPACE)
        length = round(room * cents / largest, 1)
        lines += [
            f'<text x="{LABEL_WIDTH - 8}" y="{top + 16}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="bar" x="{LABEL_WIDTH}" y="{top}" width="{length}" height="{BAR_HEIGHT}" fill="#37699c"/>',
            f'<text x="{LABEL_WIDTH + length + 6}" y="{top + 16}">{money(cents)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def charts(output: Path) -> None:
    """The two pictures."""
    found = read_json(output / "sales.json")
    days = [(f"{date.fromisoformat(each['day']):%a %d %b}", each["cents"]) for each in found["days"]]
    products = [(each["product"], each["cents"]) for each in found["products"]]
    write_text(output / "days.svg", bar_chart("Sales by day", days))
    write_text(output / "products.svg", bar_chart("Sales by product", products))
    print(f"{output / 'days.svg'} and {output / 'products.svg'} are drawn")


def document(output: Path) -> None:
    """One HTML file that holds all of it, and a short text for the mail."""
    found = read_json(output / "sales.json")
    first, last = found["days"][0]["day"], found["days"][-1]["day"]
    change = found["cents"] - found["cents_week_before"]
    summary = f"{money(found['cents'])}, {money(abs(change))} {'less' if change < 0 else 'more'} than the week before."
    rows = "\n".join(
        f"<tr><td>{escape(each['product'])}<td>{each['quantity']}<td>{money(each['cents'])}"
        for each in found["products"]
    )
    pictures = "\n".join((output / name).read_text(encoding="utf-8") for name in ("days.svg", "products.svg"))
    write_text(
        output / "report.html",
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Sales {first} to {last}</title>\n'
        "<style>body {font-family: sans-serif; max-width: 42em; margin: 2em auto} td {padding: 0 1em 0 0}</style>\n"
        f"<h1>Sales {first} to {last}</h1>\n<p>{summary}</p>\n{pictures}"
        f"<table>\n<tr><th>Product<th>Quantity<th>Amount\n{rows}\n</table>\n</html>\n",
    )
    write_text(output / "summary.txt", f"Sales from {first} to {last}: {summary}\nThe report is attached.\n")
    print(summary)


def main() -> None:
    """Read the command line and take one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["query", "charts", "document"])
    parser.add_argument(
        "--source", type=Path, help="a CSV file with sales, or a SQLite file with a table sales (query)"
    )
    parser.add_argument(
        "--until", default="", help="last day of the week; the newest day of the source when empty (query)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the folder for what is made")
    arguments = parser.parse_args()
    if arguments.step == "query":
        if arguments.source is None:
            parser.error("query needs --source")
        query(arguments.source, arguments.until, arguments.output)
    elif arguments.step == "charts":
        charts(arguments.output)
    else:
        document(arguments.output)


if __name__ == "__main__":
    run(main)
