"""What the scripts of the examples share: rows that know their line, files written whole, errors as one sentence."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlite3 import Connection


class BadInput(Exception):
    """Something a person has to mend; the message says what and where."""


class Row:
    """The cells of one row by column; `place` says where it stands, as in `orders.csv, line 7`."""

    def __init__(self, place: str, cells: Mapping[str, Any]) -> None:
        self.place = place
        self.cells = cells

    def wrong(self, column: str, expected: str) -> BadInput:
        """The error for a cell that cannot be used."""
        return BadInput(f"{self.place}: {column} is {self.cells.get(column)!r}, expected {expected}")

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        found = str(self.cells.get(column) or "").strip()
        if not found:
            raise self.wrong(column, "some text")
        return found

    def whole(self, column: str, least: int = 0) -> int:
        """A whole number that is not less than `least`."""
        text = self.text(column)
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise self.wrong(column, f"a whole number, {least} or more")
        return int(text)

    def number(self, column: str) -> float:
        """A finite number."""
        return float(self._decimal(column, "a number"))

    def cents(self, column: str) -> int:
        """An amount of money in cents: what is added up must not be rounded."""
        expected = "an amount such as 12.50"
        amount = self._decimal(column, expected) * 100
        if amount < 0 or amount != int(amount):
            raise self.wrong(column, expected)
        return int(amount)

    def day(self, column: str) -> str:
        """A date, as YYYY-MM-DD."""
        try:
            return date.fromisoformat(self.text(column)).isoformat()
        except ValueError:
            raise self.wrong(column, "a date such as 2026-01-31") from None

    def _decimal(self, column: str, expected: str) -> Decimal:
        try:
            found = Decimal(self.text(column))
        except InvalidOperation:
            raise self.wrong(column, expected) from None
        if not found.is_finite():
            raise self.wrong(column, expected)
        return found


def run(main: Callable[[], None]) -> None:
    """Run a script. What a person can mend is one sentence on stderr and exit code 1, not a traceback."""
    try:
        main()
    except BadInput as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file that has at least these columns."""
    try:
        # utf-8-sig: spreadsheets put a mark before the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            if missing := [column for column in columns if column not in head]:
                raise BadInput(f"{path}: the first line names no column {', '.join(missing)}")
            for cells in reader:
                if not cells:
                    continue
                place = f"{path}, line {reader.line_num}"
                if len(cells) != len(head):
                    raise BadInput(f"{place}: {len(cells)} cells, but the first line names {len(head)} columns")
                yield Row(place, dict(zip(head, cells)))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: this is no UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: {error}") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: this is no JSON: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file so that whoever reads it sees all of it, or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        if part.exists():
            part.unlink()


def write_json(path: Path, value: Any) -> None:
    """A JSON file, for people too."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file."""
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


@contextmanager
def database(path: Path) -> Iterator[Connection]:
    """A SQLite file in one transaction: of what is done with it, all is kept, or after an error nothing."""
    import sqlite3

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(str(path), timeout=30)) as connection, connection:
            yield connection
    except sqlite3.Error as error:
        raise BadInput(f"{path}: {error}") from None


def money(cents: int) -> str:
    """`1,234.50`."""
    return f"{cents // 100:,}.{cents % 100:02}"
