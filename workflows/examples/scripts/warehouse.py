"""The steps of the workflow `examples.warehouse`: sales and customers from two sources, joined, into SQLite."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import BadInput, Row, database, money, read_json, read_rows, run, write_json, write_rows, write_text

#: What the shop exports, as CSV.
SALES = ("sale_id", "day", "customer_id", "product", "quantity", "unit_price")

#: What the customer system exports, as JSON.
CUSTOMERS = ("customer_id", "name", "country")

#: Both together.
JOINED = ("sale_id", "day", "customer_id", "customer", "country", "product", "quantity", "cents")

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sales (sale_id INTEGER PRIMARY KEY, day TEXT NOT NULL, customer_id TEXT NOT NULL, "
    "customer TEXT NOT NULL, country TEXT NOT NULL, product TEXT NOT NULL, quantity INTEGER NOT NULL, "
    "cents INTEGER NOT NULL)"
)

BY_COUNTRY = """
SELECT country, count(DISTINCT customer_id), count(*), sum(cents) FROM sales GROUP BY country ORDER BY sum(cents) DESC
"""


def extract_sales(source: Path, output: Path) -> None:
    """Take a copy of the sales."""
    rows = list(read_rows(source, SALES))
    write_rows(output / "sales.csv", SALES, ([row.cells[column] for column in SALES] for row in rows))
    print(f"{len(rows)} sales from {source}")


def extract_customers(source: Path, output: Path) -> None:
    """Take a copy of the customers."""
    customers = read_json(source)
    if not isinstance(customers, list):
        raise BadInput(f"{source}: expected a list of customers")
    write_json(output / "customers.json", customers)
    print(f"{len(customers)} customers from {source}")


def sales_of(output: Path) -> Iterator[dict[str, Any]]:
    """The sales, each checked."""
    seen = set()
    for row in read_rows(output / "sales.csv", SALES):
        sale_id = row.whole("sale_id", least=1)
        if sale_id in seen:
            raise row.wrong("sale_id", "a number that no sale before it has")
        seen.add(sale_id)
        quantity = row.whole("quantity", least=1)
        texts = {column: row.text(column) for column in ("customer_id", "product")}
        cents = quantity * row.cents("unit_price")
        yield {"sale_id": sale_id, "day": row.day("day"), **texts, "quantity": quantity, "cents": cents}


def customers_of(output: Path) -> dict[str, dict[str, str]]:
    """The customers by id, each checked."""
    path = output / "customers.json"
    found: dict[str, dict[str, str]] = {}
    for number, cells in enumerate(read_json(path), 1):
        place = f"{path}, customer {number}"
        if not isinstance(cells, dict):
            raise BadInput(f"{place}: expected an object with {', '.join(CUSTOMERS)}")
        row = Row(place, cells)
        customer = {column: row.text(column) for column in CUSTOMERS}
        if customer["customer_id"] in found:
            raise row.wrong("customer_id", "an id that no customer before it has")
        found[customer["customer_id"]] = customer
    return found


def validate_sales(output: Path) -> None:
    """Check the sales, before anything is made of them."""
    sales = list(sales_of(output))
    if not sales:
        raise BadInput(f"{output / 'sales.csv'}: there are no sales in it")
    days = [str(sale["day"]) for sale in sales]
    print(f"{len(sales)} sales are in order, from {min(days)} to {max(days)}")


def validate_customers(output: Path) -> None:
    """Check the customers."""
    print(f"{len(customers_of(output))} customers are in order")


def transform(output: Path) -> None:
    """Join: each sale gets the name and country of its customer. A sale without a known customer is an error."""
    customers = customers_of(output)
    joined = []
    for sale in sales_of(output):
        customer = customers.get(sale["customer_id"])
        if customer is None:
            raise BadInput(f"sale {sale['sale_id']}: there is no customer {sale['customer_id']!r}")
        row = {**sale, "customer": customer["name"], "country": customer["country"]}
        joined.append([row[column] for column in JOINED])
    write_rows(output / "joined.csv", JOINED, joined)
    print(f"{len(joined)} sales joined with {len(customers)} customers")


def load(output: Path) -> None:
    """Put the sales into the warehouse. A sale that is there already is replaced, so a rerun doubles nothing."""
    rows = [row.cells for row in read_rows(output / "joined.csv", JOINED)]
    with database(output / "warehouse.db") as warehouse:
        warehouse.execute(SCHEMA)
        marks = ", ".join(f":{column}" for column in JOINED)
        warehouse.executemany(f"INSERT OR REPLACE INTO sales VALUES ({marks})", rows)
        [stored] = warehouse.execute("SELECT count(*) FROM sales").fetchone()
    print(f"{len(rows)} sales loaded; {output / 'warehouse.db'} now holds {stored}")


def report(output: Path) -> None:
    """Refresh the report from all that is in the warehouse."""
    with database(output / "warehouse.db") as warehouse:
        rows = warehouse.execute(BY_COUNTRY).fetchall()
    head = ("country", "customers", "sales", "revenue")
    lines = [(country, str(customers), str(sales), money(cents)) for country, customers, sales, cents in rows]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *lines]
    )
    write_text(output / "by_country.txt", text + "\n")
    print(text)


STEPS = {
    "validate-sales": validate_sales,
    "validate-customers": validate_customers,
    "transform": transform,
    "load": load,
    "report": report,
}


def main() -> None:
    """Read the command line and take one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["extract-sales", "extract-customers", *STEPS])
    parser.add_argument("--input", type=Path, help="the file to take a copy of (extract-…)")
    parser.add_argument("--output", type=Path, required=True, help="the folder for what is made")
    arguments = parser.parse_args()
    if arguments.step in STEPS:
        STEPS[arguments.step](arguments.output)
        return
    if arguments.input is None:
        parser.error(f"{arguments.step} needs --input")
    extract = extract_sales if arguments.step == "extract-sales" else extract_customers
    extract(arguments.input, arguments.output)


if __name__ == "__main__":
    run(main)
