from typing import Any

import pytest

from cdktr import questions

WILD = "x'); DROP TABLE logstore; --"


@pytest.mark.parametrize("oldest", [False, True])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"workflow": WILD},
        {"run": WILD, "status": WILD},
        {"contains": WILD, "start": 1, "end": 2, "workflow": None},
    ],
)
def test_what_is_asked_for_is_bound_and_never_part_of_the_text(filters: dict[str, Any], oldest: bool) -> None:
    sql, values = questions.runs(filters, oldest=oldest)
    assert WILD not in sql
    assert values == {name: value for name, value in filters.items() if value is not None}
    assert all(f"${name}" in sql for name in values)
    assert ("ASC LIMIT" in sql) is oldest


def test_the_table_is_read_once_for_one_run() -> None:
    assert questions.runs({"run": "r"}, oldest=False)[0].count("FROM workflow_run_status") == 1


def test_of_lines_only_what_is_asked_for_stands_in_the_text() -> None:
    where, values = questions.lines_where({"run": WILD, "level": None, "first": 3})
    assert where == "WHERE workflow_instance_id = $run AND sequence >= $first"
    assert values == {"run": WILD, "first": 3}
