from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.dag import CycleError, Dag, find_cycle

IDS = [f"t{number}" for number in range(8)]

any_graphs = st.dictionaries(st.sampled_from(IDS), st.lists(st.sampled_from(IDS), max_size=4)).map(
    lambda graph: {task: [name for name in names if name in graph] for task, names in graph.items()}
)


def reaches(graph: dict[str, list[str]], start: str, goal: str) -> bool:
    """The slow and plain way: walk along `depends` from `start`."""
    seen, todo = set[str](), list(graph[start])
    while todo:
        task = todo.pop()
        if task not in seen:
            seen.add(task)
            todo += graph[task]
    return goal in seen


@given(any_graphs)
def test_a_cycle_is_found_iff_there_is_one(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    assert (cycle is not None) == any(reaches(graph, task, task) for task in graph)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in graph[before] for before, after in pairwise(cycle))


@given(any_graphs)
def test_layers_respect_dependencies(graph: dict[str, list[str]]) -> None:
    if cycle := find_cycle(graph):
        with pytest.raises(CycleError) as caught:
            Dag(graph)
        assert caught.value.path == cycle
        return
    layers = Dag(graph).layers()
    row = {task: number for number, tasks in enumerate(layers) for task in tasks}
    assert sorted(row) == sorted(graph)
    for task, names in graph.items():
        assert row[task] == max((row[name] + 1 for name in names), default=0)
    order = list(graph)
    assert all(tasks == sorted(tasks, key=order.index) for tasks in layers)


@given(any_graphs)
def test_dependents_are_the_dependencies_seen_from_the_other_side(graph: dict[str, list[str]]) -> None:
    if find_cycle(graph):
        return
    dag = Dag(graph)
    for task in graph:
        assert set(dag.dependents(task)) == {other for other in graph if task in graph[other]}
