"""How a principal is, in words: what STATUS told, and what somebody should know of it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from cdktr.labels import in_words
from cdktr.text import format_duration, plural

#: Bytes that agents have to tell from which it is worth telling: a moment's output is always under way.
SPOOLED = 2**20

#: Workflows, or agents, that are named of those which are all the same.
NAMED = 5

#: Workflows of which STATUS names no more: there may be others.
TOLD = 10

#: Who tells where an agent without uv looked for one.
PLACES = "`cdktr agent list --json` has the places where it was sought"

Summary = Mapping[str, Any]


class Waiting(TypedDict):
    """Runs that wait for the same labels, as STATUS has it: how many, and some of their workflows."""

    labels: list[str]
    runs: int
    workflows: list[str]


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
    """`0.9.3 at /usr/bin/uv on 2 agents; none on web1-4f2a (…)`; empty when no agent tells."""
    there: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for agent in agents:
        if facts := agent.get("uv"):
            if "trouble" in facts:
                # Where it was sought is of each host's PATH, which may be long.
                why = f": {facts['trouble']}" if "path" in facts else f" ({PLACES})"
                lacking.setdefault(why, []).append(agent["agent_id"])
            else:
                words = " at ".join(facts[name] for name in ("version", "path") if name in facts)
                there.setdefault(words, []).append(agent["agent_id"])
    found = [f"{words} on {plural(len(ids), 'agent')}" for words, ids in there.items()]
    for why, ids in lacking.items():
        found.append(f"none on {_some(ids)}{why}")
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
    unplaceable, crowded = (_held_up(state, name) for name in ("unplaceable", "crowded"))
    rest = state["queued"] - sum(each["runs"] for each in (*unplaceable, *crowded))
    if rest > 0:
        named = {name for each in (*unplaceable, *crowded) for name in each["workflows"]}
        are_all = all(len(each["workflows"]) < TOLD for each in (*unplaceable, *crowded))
        others = [run for run in waiting if run["workflow_id"] not in named] if are_all else []
        found.append(f"{_waiting(rest, others)}: {why_waiting(state)}")
    elif not state["agents"]:
        found.append("there is no agent, so nothing would run; `cdktr start agent` starts one")
    found += [*map(lacking, unplaceable), *map(crowding, crowded)]
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
    if paused := paused_since(state):
        found.append(_paused(sorted(paused)))
    return found


def bad_files(problems: Sequence[Summary]) -> list[str]:
    """What is wrong in the workflow folder, as LSPROBLEMS tells it: nothing, or one text of several lines."""
    if not problems:
        return []
    head = f"{plural(len(problems), 'problem')} in the workflow folder:"
    return ["\n  ".join([head, *map(problem_line, problems)])]


def problem_line(problem: Summary) -> str:
    """`path:line:column: message; hint`."""
    place = f"{problem['path']}:{problem['line']}:{problem['column']}" if problem["line"] else problem["path"]
    return f"{place}: {problem['message']}" + (f"; {problem['hint']}" if problem["hint"] else "")


def paused_since(state: Mapping[str, Any]) -> Mapping[str, int]:
    """Workflow id -> since when it is paused, in milliseconds; an older principal knows no pauses."""
    found = state.get("paused")
    return found if isinstance(found, Mapping) else {}


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])


def _paused(names: Sequence[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    what = f"{plural(len(names), 'workflow')} {verb} paused ({_some(names)})"
    return f"{what}: no schedule starts {'it' if len(names) == 1 else 'them'} until `cdktr task resume`"


def _held_up(state: Mapping[str, Any], name: str) -> Sequence[Waiting]:
    """Runs that wait for labels, as far as that is what they wait for."""
    if state["stopping"] or state.get("journal_trouble"):
        return ()
    found: Sequence[Waiting] = state.get(name, ())
    return found


def lacking(waits: Waiting) -> str:
    """That no agent has the labels which runs require; `waits` is one of STATUS's `unplaceable`."""
    labels = waits["labels"]
    flags = "".join(f" --label {label}" for label in sorted(labels))
    return (
        f"{_run_wait(waits['runs'])} for an agent with {in_words(labels)}{_of(waits)}, and there is none; "
        f"`cdktr start agent{flags}` starts one, where the tasks can run"
    )


def crowding(waits: Waiting) -> str:
    """That the agents with the labels which runs require have no free slot; `waits` is one of STATUS's `crowded`."""
    return f"{_run_wait(waits['runs'])} for a free slot of an agent with {in_words(waits['labels'])}{_of(waits)}"


def _of(waits: Waiting) -> str:
    more = ", …" if len(waits["workflows"]) >= TOLD else ""
    return f" ({', '.join(waits['workflows'])}{more})"


def _run_wait(count: int) -> str:
    return "1 run waits" if count == 1 else f"{count} runs wait"


def _waiting(count: int, waiting: Sequence[Summary]) -> str:
    # The newest come first.
    named = [f"{run['workflow_instance_id']} of {run['workflow_id']}" for run in reversed(waiting)]
    return _run_wait(count) + (f" ({', '.join(named)}{', …' if count > len(named) else ''})" if named else "")


def why_waiting(state: Mapping[str, Any], workflow_id: str | None = None) -> str:
    """Why runs are queued and not started, as far as the state of the principal tells: those of a workflow, or all
    that wait for no labels."""
    if state["stopping"]:
        return "the principal is stopping; they are kept for its next start"
    if state.get("journal_trouble"):
        return f"nothing is handed out: {state['journal_trouble']}"
    for name, tell in (("unplaceable", lacking), ("crowded", crowding)):
        for waits in state.get(name, ()):
            if workflow_id in waits["workflows"]:
                return tell(waits)
    if workflow_id is not None and any(len(waits["workflows"]) >= TOLD for waits in state.get("unplaceable", ())):
        return f"perhaps no agent has what it requires: see `cdktr task show {workflow_id}` and `cdktr agent list`"
    if not state["agents"]:
        return "there is no agent; `cdktr start agent` starts one"
    if not state["free_slots"]:
        return "no agent has a free slot; they start as others end, or with more agents or a higher --max-concurrent"
    return "they are about to start; if they stay, see what the agents log"
