"""How a principal is, in words."""

from typing import Any

import pytest

from cdktr import health

STATE: dict[str, Any] = {
    "queued": 0, "running": 0, "agents": 1, "free_slots": 5, "stopping": False, "database_trouble": None,
    "unstored_rows": 0, "unstored_bytes": 0, "unstored_bytes_limit": 2**27, "dropped_lines": 0,
    "database_set_aside": [],
}  # fmt: skip


UNPLACEABLE = {"labels": ["gpu", "zone=eu"], "runs": 3, "workflows": ["train", "w"]}
CROWDED = {"labels": ["big"], "runs": 1, "workflows": ["m"]}


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
        (
            {"queued": 3, "unplaceable": [UNPLACEABLE]},
            "3 runs wait for an agent with gpu, zone=eu (train, w), and there is none; "
            "`cdktr start agent --label gpu --label zone=eu` starts one",
        ),
        (
            {"queued": 5, "unplaceable": [UNPLACEABLE], "crowded": [CROWDED]},
            "1 run waits: they are about to start; if they stay, see what the agents log\n3 runs wait for an agent "
            "with gpu, zone=eu (train, w), and there is none; `cdktr start agent --label gpu --label zone=eu` starts "
            "one, where the tasks can run\n1 run waits for a free slot of an agent with big (m)",
        ),
        (
            {"queued": 3, "unplaceable": [UNPLACEABLE], "journal_trouble": "full"},
            "3 runs wait (r1 of w, …): nothing is",
        ),
        ({"journal_trouble": "full"}, "no trigger is accepted and nothing is handed out: full"),
        (
            {"database_trouble": "full", "unstored_rows": 7, "unstored_bytes": 2**20},
            "the database cannot be written, 7 rows wait for it (1.0 MB of at most 128): full",
        ),
        ({"dropped_lines": 3}, "3 lines of agents that keep none were dropped, as too much waited"),
        ({"agents_dropped_lines": 4}, "4 lines of ended runs gave way at agents whose spool was full; their logs say"),
        (
            {"paused": {"b": 1, "a": 2}},
            "2 workflows are paused (a, b): no schedule starts them until `cdktr task resume`",
        ),
        ({"paused": dict.fromkeys("abcdef", 1)}, "6 workflows are paused (a, b, c, d, e, …): "),
        ({"paused": {"a": 2}}, "1 workflow is paused (a): no schedule starts it until"),
        ({"database_set_aside": ["a.db.damaged-x"]}, "a damaged database was moved aside to a.db.damaged-x"),
    ],
)
def test_what_needs_attention(state: dict[str, Any], sentence: str) -> None:
    found = health.attention(STATE | state, [{"workflow_instance_id": "r1", "workflow_id": "w"}])
    assert "\n".join(found).startswith(sentence)
    assert bool(found) == bool(sentence)


def test_why_the_runs_of_one_workflow_wait() -> None:
    state = STATE | {"queued": 5, "unplaceable": [UNPLACEABLE], "crowded": [CROWDED]}
    assert health.why_waiting(state, "train").startswith("3 runs wait for an agent with gpu, zone=eu (train, w), and")
    assert health.why_waiting(state, "m") == "1 run waits for a free slot of an agent with big (m)"
    assert health.why_waiting(state, "other").startswith("they are about to start")
    assert health.why_waiting(state | {"stopping": True}, "train").startswith("the principal is stopping")


def test_of_many_workflows_that_wait_for_the_same_not_all_are_named() -> None:
    many: health.Waiting = {
        "labels": ["gpu", "zone=eu"],
        "runs": 40,
        "workflows": [f"w{n}" for n in range(health.TOLD)],
    }
    assert "(w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, …)" in health.lacking(many)
    found = health.why_waiting(STATE | {"queued": 40, "unplaceable": [many]}, "w11")
    assert found == "perhaps no agent has what it requires: see `cdktr task show w11` and `cdktr agent list`"
    # Which of the others waits for something else cannot be told.
    waiting = [{"workflow_instance_id": f"r{n}", "workflow_id": f"w{n}"} for n in range(11)]
    found = health.attention(STATE | {"queued": 41, "unplaceable": [many]}, waiting)[0]
    assert found.startswith("1 run waits: ")


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
        f"0.9.3 at /usr/bin/uv on 2 agents; none on web0 ({health.PLACES})"
    )
    broken = here | {"trouble": "/usr/bin/uv does not tell its version: exit code 1"}
    assert health.uv_text(agents(here, broken)).endswith(
        "none on web1: /usr/bin/uv does not tell its version: exit code 1"
    )
    elsewhere = {"trouble": "looked in /c"}
    assert health.uv_text(agents(*[none] * 3, *[elsewhere] * 3)) == (
        f"none on web0, web1, web2, web3, web4, … ({health.PLACES})"
    )
