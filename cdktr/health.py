"""How a principal is, in words: what STATUS told, and what somebody should know of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cdktr.text import format_duration, plural

#: Bytes that agents have to tell from which it is worth telling: a moment's output is always under way.
SPOOLED = 2**20

#: Agents that are named.
NAMED = 3

Summary = Mapping[str, Any]


def megabytes(count: int) -> str:
    """`1.5 MB`; `-` for nothing."""
    return f"{count / 2**20:.1f} MB" if count else "-"


def status_lines(state: Mapping[str, Any], agents: Sequence[Summary] = ()) -> list[str]:
    """The state of a principal, a fact a line; of its agents, what GETREGISTEREDAGENTS told."""
    rows = [
        ("principal", f"{state['host']}:{state['port']}, process {state['pid']}, version {state['version']}"),
        ("up for", format_duration(state["uptime_s"])),
        ("scheduler", "on" if state["scheduler"] else "off"),
        ("workflows", f"{state['workflows']} in {state['workflow_dir']}"),
        ("runs", f"{state['queued']} queued, {state['running']} running{_ended(state)}"),
        ("agents", f"{state['agents']}, {state['free_slots']} free slots{_to_tell(state)}"),
        ("database", f"{state['db_path']}, {'in trouble' if state['database_trouble'] else 'in order'}"),
    ]
    if uv := uv_text(agents):
        rows.insert(-1, ("uv", uv))
    return [f"{name:<11}{value}" for name, value in rows]


def uv_text(agents: Sequence[Summary]) -> str:
    """`0.9.3 at /usr/bin/uv on 2 agents; none on web1-4f2a: looked in …`; empty when no agent tells."""
    there: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for agent in agents:
        if facts := agent.get("uv"):
            if "trouble" in facts:
                lacking.setdefault(facts["trouble"], []).append(agent["agent_id"])
            else:
                words = " at ".join(facts[name] for name in ("version", "path") if name in facts)
                there.setdefault(words, []).append(agent["agent_id"])
    found = [f"{words} on {plural(len(ids), 'agent')}" for words, ids in there.items()]
    for why, ids in lacking.items():
        names = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
        found.append(f"none on {names}: {why}")
    return "; ".join(found)


def _ended(state: Mapping[str, Any]) -> str:
    ended = state.get("ended_unstored", 0)
    return f", {ended} ended and not stored yet" if ended else ""


def _to_tell(state: Mapping[str, Any]) -> str:
    spooled = state.get("agents_spooled_bytes", 0)
    return f", {megabytes(spooled)} to tell" if spooled >= SPOOLED else ""


def attention(state: Mapping[str, Any], waiting: Sequence[Summary]) -> list[str]:
    """What somebody should know: above all why something that is queued does not run."""
    found = []
    if state["stopping"]:
        found.append("the principal is stopping: it takes nothing new and hands nothing out")
    if state["queued"]:
        found.append(f"{_waiting(state['queued'], waiting)}: {why_waiting(state)}")
    elif not state["agents"]:
        found.append("there is no agent, so nothing would run; `cdktr start agent` starts one")
    if state.get("journal_trouble"):
        found.append(f"no trigger is accepted and nothing is handed out: {state['journal_trouble']}")
    if state["database_trouble"]:
        used, limit = (state[name] / 2**20 for name in ("unstored_bytes", "unstored_bytes_limit"))
        waits = f"{state['unstored_rows']} rows wait for it ({used:.1f} MB of at most {limit:.0f})"
        why = "its journal comes first" if state.get("journal_trouble") else state["database_trouble"]
        found.append(f"the database cannot be written, {waits}: {why}")
    if state["dropped_lines"]:
        found.append(f"{state['dropped_lines']} lines of agents that keep none were dropped, as too much waited")
    if dropped := state.get("agents_dropped_lines"):
        found.append(f"{dropped} lines of ended runs gave way at agents whose spool was full; their logs say where")
    found += [f"{loss}: what it held is not in the history" for loss in state.get("database_losses", ())]
    for path in state.get("database_set_aside", ()):
        found.append(f"a damaged database was moved aside to {path}; remove it when nobody wants to read it any more")
    return found


def _waiting(count: int, waiting: Sequence[Summary]) -> str:
    # The newest come first.
    named = [f"{run['workflow_instance_id']} of {run['workflow_id']}" for run in reversed(waiting)]
    verb = "run waits" if count == 1 else "runs wait"
    return f"{count} {verb}" + (f" ({', '.join(named)}{', …' if count > len(named) else ''})" if named else "")


def why_waiting(state: Mapping[str, Any]) -> str:
    """Why runs are queued and not started, as far as the state of the principal tells."""
    if state["stopping"]:
        return "the principal is stopping; they are kept for its next start"
    if state.get("journal_trouble"):
        return f"nothing is handed out: {state['journal_trouble']}"
    if not state["agents"]:
        return "there is no agent; `cdktr start agent` starts one"
    if not state["free_slots"]:
        return "no agent has a free slot; they start as others end, or with more agents or a higher --max-concurrent"
    return "they are about to start; if they stay, see what the agents log"
