"""Who is there: the agents by their last sign of life, and which of them are lost.

None of it outlives the principal: after a restart each agent has a whole timeout to come back. `now` is the monotonic
clock in seconds, `now_ms` the wall clock.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cdktr.labels import NO_LABELS, Labels
from cdktr.records import AgentInfo

#: Agents that stopped are remembered for so many milliseconds, and so many of them.
LEFT_MS = 600_000
MOST_LEFT = 20


@dataclass(slots=True)
class Agent:
    """A registered agent; the monotonic and the wall time of its last word."""

    seen: float
    seen_us: int
    slots: int | None = None
    version: str | None = None
    spooled_bytes: int = 0
    dropped_lines: int = 0
    #: As in a heartbeat.
    uv: Mapping[str, str] | None = None
    #: Runs that it holds and that have ended, which only their agent knows as yet.
    ended: Collection[str] = ()
    labels: Labels = NO_LABELS


class Agents(dict[str, Agent]):
    """The registered agents by id. `timeout_s` is the silence after which one is lost."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self.timeout_s = timeout_s
        #: Those that said that they stop, or whose heir said that they were killed: when, and whether killed.
        self._left: dict[str, tuple[int, bool]] = {}
        self._last_check: float | None = None

    def heard(
        self,
        agent_id: str,
        now: float,
        now_ms: int,
        slots: int | None = None,
        version: str | None = None,
        labels: Labels | None = None,
    ) -> bool:
        """An agent gave a sign of life; True when it is new. None: it did not say."""
        agent = self.get(agent_id)
        if agent is None:
            self._left.pop(agent_id, None)
            self[agent_id] = Agent(now, now_ms * 1000, slots, version, labels=labels or NO_LABELS)
            return True
        agent.seen, agent.seen_us = now, now_ms * 1000
        agent.slots = agent.slots if slots is None else slots
        agent.version = agent.version if version is None else version
        agent.labels = agent.labels if labels is None else labels
        return False

    def infos(self, held: Mapping[str, int]) -> list[AgentInfo]:
        """What is known of each; `held` says how many runs it holds, where that is not none."""
        return [
            AgentInfo(
                *(agent_id, a.seen_us, held.get(agent_id, 0), a.slots, a.version, a.spooled_bytes, a.dropped_lines),
                labels=a.labels,
                uv=a.uv,
            )
            for agent_id, a in self.items()
        ]

    def leave(self, agent_id: str, now_ms: int, *, killed: bool = False) -> None:
        """An agent said that it stops, or its heir that it was killed."""
        self.pop(agent_id, None)
        self._left.pop(agent_id, None)
        self._left = dict([*self._left.items(), (agent_id, (now_ms, killed))][-MOST_LEFT:])

    def left(self, now_ms: int, *, killed: bool = False) -> list[str]:
        """Those that stopped of late, so that nobody takes them for lost; or those that were killed."""
        return [name for name, (at_ms, was) in self._left.items() if was == killed and now_ms - at_ms < LEFT_MS]

    def expire(self, now: float, interval_s: float) -> list[str]:
        """The agents lost by `now`. To be called every `interval_s`: a gap means that the principal itself stood
        still, or was not there, and then every agent gets a new timeout, for its heartbeats may lie unread."""
        late = math.inf if self._last_check is None else now - self._last_check - interval_s
        self._last_check = now
        if late > max(interval_s, self.timeout_s / 4):
            for agent in self.values():
                agent.seen = now
        lost = [agent_id for agent_id, agent in self.items() if now - agent.seen > self.timeout_s]
        for agent_id in lost:
            del self[agent_id]
        return lost
