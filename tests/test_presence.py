"""Heartbeats and silence, at times of our own making."""

from cdktr.presence import LEFT_MS, MOST_LEFT, Agents

TIMEOUT_S = 30.0
INTERVAL_S = 1.0


def test_an_agent_is_lost_after_its_timeout() -> None:
    agents = Agents(TIMEOUT_S)
    assert agents.heard("a", 0.0, 1000, slots=4, version="1")
    assert agents.expire(0.0, INTERVAL_S) == []
    assert not agents.heard("a", 10.0, 11_000)
    lost = {now: agents.expire(float(now), INTERVAL_S) for now in range(1, 42)}
    assert {now for now, gone in lost.items() if gone} == {41}
    assert lost[41] == ["a"]
    assert agents.heard("a", 42.0, 0), "it comes back as a new one"


def test_an_agent_that_stopped_is_not_lost() -> None:
    agents = Agents(TIMEOUT_S)
    agents.heard("a", 0.0, 0)
    agents.leave("a", 5_000)
    assert (list(agents), agents.left(6_000), agents.left(5_000 + LEFT_MS)) == ([], ["a"], [])
    agents.heard("a", 7.0, 7_000)
    assert agents.left(7_000) == []
    agents.leave("c", 7_000, killed=True)
    assert (agents.left(7_000), agents.left(7_000, killed=True)) == ([], ["c"])
    for number in range(MOST_LEFT + 5):
        agents.leave(f"b{number}", 8_000 + number)
    assert agents.left(9_000) == [f"b{number}" for number in range(5, MOST_LEFT + 5)]


def test_what_an_agent_does_not_say_again_still_holds() -> None:
    agents = Agents(TIMEOUT_S)
    agents.heard("a", 0.0, 1, slots=4, version="1", labels=frozenset({"gpu"}))
    agents.heard("a", 1.0, 2)
    agent = agents["a"]
    assert (agent.seen, agent.seen_us, agent.slots, agent.version) == (1.0, 2000, 4, "1")
    assert agent.labels == {"gpu"}
    agents.heard("a", 2.0, 3, slots=5, version="2", labels=frozenset())
    assert (agent.slots, agent.version, agent.labels) == (5, "2", frozenset())


def test_a_principal_that_stood_still_gives_everyone_time() -> None:
    agents = Agents(TIMEOUT_S)
    agents.heard("a", 0.0, 0)
    assert agents.expire(1.0, INTERVAL_S) == []
    assert agents.expire(3600.0, INTERVAL_S) == []
    later = {now: agents.expire(float(now), INTERVAL_S) for now in range(3601, 3632)}
    assert [now for now, gone in later.items() if gone] == [3631]
