"""The script of `examples.uv_packages`: orders as an HTML page. uv brings the package that the workflow names."""

from __future__ import annotations

import os
from pathlib import Path

from common import BadInput, money, read_rows, run, write_text
from jinja2 import Template

PAGE = Template(
    """<!doctype html>
<title>Orders</title>
<table>
{% for customer, amount in totals -%}
<tr><td>{{ customer }}<td>{{ amount }}
{% endfor -%}
</table>
""",
    autoescape=True,
)


def main() -> None:
    """Read what to do from the environment, as a !UvPython task has no arguments."""
    source, output = os.environ.get("INPUT"), os.environ.get("OUTPUT")
    if not source or not output:
        raise BadInput("INPUT has to name the CSV file with the orders, and OUTPUT a folder")
    totals: dict[str, int] = {}
    for row in read_rows(Path(source), ("customer", "quantity", "unit_price")):
        customer = row.text("customer")
        totals[customer] = totals.get(customer, 0) + row.whole("quantity", least=1) * row.cents("unit_price")
    page = PAGE.render(totals=[(customer, money(cents)) for customer, cents in sorted(totals.items())])
    write_text(Path(output) / "orders.html", page)
    print(f"{len(totals)} customers in {Path(output) / 'orders.html'}")


if __name__ == "__main__":
    run(main)
