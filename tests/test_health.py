"""How a principal is, in words."""

from typing import Any

import pytest

from cdktr import health

STATE: dict[str, Any] = {
    "queued": 0, "running": 0, "agents": 1, "free_slots": 5, "stopping": False, "database_trouble": None,
    "unstored_rows": 0, "unstored_bytes": 0, "unstored_bytes_limit": 2**27, "dropped_lines": 0,
    "database_set_aside": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({}, ""),
        ({"agents": 0}, "there is no agent, so nothing would run; `cdktr start agent` starts one"),
        ({"queued": 1, "agents": 0}, "1 run waits (r1 of w): there is no agent; `cdktr start agent` starts one"),
        (
            {"queued": 3, "free_slots": 0},
            "3 runs wait (r1 of w, …): no agent has a free slot; they start as others end",
        ),
        ({"queued": 1}, "1 run waits (r1 of w): they are about to start; if they stay, see what the agents log"),
        ({"queued": 1, "stopping": True}, "the principal is stopping: it takes nothing new and hands nothing out"),
        ({"queued": 1, "journal_trouble": "full"}, "1 run waits (r1 of w): nothing is handed out: full"),
        ({"journal_trouble": "full"}, "no trigger is accepted and nothing is handed out: full"),
        (
            {"database_trouble": "full", "unstored_rows": 7, "unstored_bytes": 2**20},
            "the database cannot be written, 7 rows wait for it (1.0 MB of at most 128): full",
        ),
        ({"dropped_lines": 3}, "3 lines of agents that keep none were dropped, as too much waited"),
        ({"agents_dropped_lines": 4}, "4 lines of ended runs gave way at agents whose spool was full; their logs say"),
        ({"database_set_aside": ["a.db.damaged-x"]}, "a damaged database was moved aside to a.db.damaged-x"),
    ],
)
def test_what_needs_attention(state: dict[str, Any], sentence: str) -> None:
    found = health.attention(STATE | state, [{"workflow_instance_id": "r1", "workflow_id": "w"}])
    assert "\n".join(found).startswith(sentence)
    assert bool(found) == bool(sentence)


def test_megabytes() -> None:
    assert health.megabytes(0) == "-"
    assert health.megabytes(3 * 2**19) == "1.5 MB"


def test_which_uv_the_agents_have() -> None:
    def agents(*facts: dict[str, str] | None) -> list[dict[str, Any]]:
        return [{"agent_id": f"web{number}", "uv": each} for number, each in enumerate(facts)]

    here = {"path": "/usr/bin/uv", "version": "0.9.3"}
    none = {"trouble": "looked in /a, /b"}
    assert health.uv_text([]) == health.uv_text(agents(None)) == health.uv_text([{"agent_id": "of an older one"}]) == ""
    assert health.uv_text(agents({"path": "/usr/bin/uv"})) == "/usr/bin/uv on 1 agent"
    assert health.uv_text(agents(none, here, None, here)) == (
        "0.9.3 at /usr/bin/uv on 2 agents; none on web0: looked in /a, /b"
    )
    broken = here | {"trouble": "/usr/bin/uv does not tell its version: exit code 1"}
    assert health.uv_text(agents(here, broken)).endswith(
        "none on web1: /usr/bin/uv does not tell its version: exit code 1"
    )
    assert health.uv_text(agents(*[none] * 4)) == "none on web0, web1, web2, …: looked in /a, /b"
