# /// script
# requires-python = ">=3.8"
# dependencies = ["python-dateutil>=2.8"]
# ///
"""The script of `examples.uv_script`: when invoices are due. What it needs stands above (PEP 723), and uv reads it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from common import BadInput, read_rows, run, write_rows
from dateutil.relativedelta import relativedelta


def main() -> None:
    """An invoice is due one or more calendar months after its day: 31 January and a month is the end of February."""
    source, output = os.environ.get("INPUT"), os.environ.get("OUTPUT")
    if not source or not output:
        raise BadInput("INPUT has to name the CSV file with the invoices, and OUTPUT a folder")
    due = []
    for row in read_rows(Path(source), ("invoice", "day", "months")):
        day = date.fromisoformat(row.day("day")) + relativedelta(months=row.whole("months"))
        due.append((day.isoformat(), row.text("invoice")))
    write_rows(Path(output) / "due.csv", ("due", "invoice"), sorted(due))
    print(f"{len(due)} invoices in {Path(output) / 'due.csv'}")


if __name__ == "__main__":
    run(main)
