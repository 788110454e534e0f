"""The steps of the workflow `examples.etl`: orders from a CSV file, checked and added up, into SQLite."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from common import BadInput, database, money, read_rows, run, write_rows

#: What the shop exports.
EXPORTED = ("order_id", "day", "customer", "product", "quantity", "unit_price")

#: What is stored.
ORDERS = ("order_id", "day", "customer", "product", "quantity", "cents")
TOTALS = ("day", "customer", "orders", "cents")

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS orders (order_id INTEGER PRIMARY KEY, day TEXT NOT NULL, customer TEXT NOT NULL, "
    "product TEXT NOT NULL, quantity INTEGER NOT NULL, cents INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS totals (day TEXT NOT NULL, customer TEXT NOT NULL, orders INTEGER NOT NULL, "
    "cents INTEGER NOT NULL, PRIMARY KEY (day, customer))",
)


def extract(source: Path, output: Path) -> None:
    """Take a copy of the export, so that the next steps see the same orders however often they are tried."""
    rows = list(read_rows(source, EXPORTED))
    if not rows:
        raise BadInput(f"{source}: there are no orders in it")
    write_rows(output / "extracted.csv", EXPORTED, ([row.cells[column] for column in EXPORTED] for row in rows))
    print(f"{len(rows)} orders from {source}")


def transform(output: Path) -> None:
    """Check each order, then add them up by day and customer."""
    orders: dict[int, tuple[object, ...]] = {}
    count: Counter[tuple[str, str]] = Counter()
    cents: Counter[tuple[str, str]] = Counter()
    for row in read_rows(output / "extracted.csv", EXPORTED):
        order_id = row.whole("order_id", least=1)
        if order_id in orders:
            raise row.wrong("order_id", "a number that no order before it has")
        day, customer, quantity = row.day("day"), row.text("customer"), row.whole("quantity", least=1)
        amount = quantity * row.cents("unit_price")
        orders[order_id] = (order_id, day, customer, row.text("product"), quantity, amount)
        count[day, customer] += 1
        cents[day, customer] += amount
    write_rows(output / "orders.csv", ORDERS, orders.values())
    write_rows(output / "totals.csv", TOTALS, ((*key, count[key], cents[key]) for key in sorted(count)))
    print(f"{len(orders)} orders are in order, {money(sum(cents.values()))} in all; {len(count)} totals")


def load(output: Path) -> None:
    """Put orders and totals into the database, in place of those with the same key: a rerun doubles nothing."""
    orders = list(read_rows(output / "orders.csv", ORDERS))
    totals = list(read_rows(output / "totals.csv", TOTALS))
    with database(output / "shop.db") as shop:
        for statement in SCHEMA:
            shop.execute(statement)
        for table, columns, rows in (("orders", ORDERS, orders), ("totals", TOTALS, totals)):
            marks = ", ".join(f":{column}" for column in columns)
            shop.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", [row.cells for row in rows])
        [stored] = shop.execute("SELECT count(*) FROM orders").fetchone()
    print(f"{len(orders)} orders and {len(totals)} totals loaded; {output / 'shop.db'} now holds {stored} orders")


def main() -> None:
    """Read the command line and take one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["extract", "transform", "load"])
    parser.add_argument("--input", type=Path, help="the CSV file with the orders (extract)")
    parser.add_argument("--output", type=Path, required=True, help="the folder for what is made")
    arguments = parser.parse_args()
    if arguments.step == "extract":
        if arguments.input is None:
            parser.error("extract needs --input")
        extract(arguments.input, arguments.output)
    elif arguments.step == "transform":
        transform(arguments.output)
    else:
        load(arguments.output)


if __name__ == "__main__":
    run(main)
