"""Agents that fell silent: when they are called so, and how long they are still shown."""

from collections.abc import Sequence
from dataclasses import replace

from cdktr.tui.state.facts import Agent
from cdktr.tui.state.model import State

#: Seconds without a word after which an agent is called lost, where the principal does not tell when it gives one up.
LOST_S = 30.0

#: Seconds after its last word for which an agent that the principal let go of is still shown.
KEPT_S = 600.0


def shown_agents(state: State) -> Sequence[Agent]:
    """Those that the principal knows, and those that it let go of lately."""
    return (*(state.data.agents or ()), *state.lost)


def silence(state: State, agent: Agent) -> float:
    """Seconds since its last word, by the clock of the principal, which noted that."""
    ahead: float = (state.data.facts or {}).get("ahead_s", 0.0)
    return max(state.now + ahead - agent.last_ping_ms / 1000, 0.0)


def lost_s(state: State) -> float:
    """Seconds without a word after which the principal gives an agent up; from a third of them on they are told."""
    told = (state.data.facts or {}).get("heartbeat_timeout_ms")
    return told / 1000 if isinstance(told, int) else LOST_S


def how_gone(state: State, agent: Agent) -> str:
    """How one that is gone went, as far as the principal tells: `STOPPED`, or `KILLED`; else nothing."""
    if agent not in state.lost:
        return ""
    facts = state.data.facts or {}
    told = (("STOPPED", facts.get("agents_left")), ("KILLED", facts.get("agents_killed")))
    return next((word for word, ids in told if isinstance(ids, list) and agent.id in ids), "")


def let_go(before: State, state: State) -> State:
    """The state after the agents were told: those that are missing are kept, if the principal was here all the time.

    One that was away may have begun anew, and nobody has registered with it yet.
    """
    here = {agent.id for agent in state.data.agents or ()}
    missing = [*before.lost, *((before.data.agents or ()) if before.agents_hold else ())]
    kept = {agent.id: agent for agent in missing if agent.id not in here}
    return forgotten(replace(state, lost=tuple(kept.values()), agents_hold=True))


def forgotten(state: State) -> State:
    """The state without the lost ones of long ago."""
    kept = tuple(agent for agent in state.lost if silence(state, agent) < KEPT_S)
    return state if kept == state.lost else replace(state, lost=kept)
