import pytest

from cdktr.dag import CycleError, Dag, UnknownTasksError, find_cycle

#: One root, two branches, a join; and a task on its own, in the middle of the file.
DIAMOND = {"end": ["left", "right"], "left": ["start"], "alone": [], "right": ["start"], "start": []}


def test_each_task_knows_its_neighbours() -> None:
    dag = Dag(DIAMOND)
    assert dag.dependencies("end") == ("left", "right")
    assert dag.dependents("start") == ("left", "right")
    assert dag.dependents("end") == ()
    assert dag.tasks == tuple(DIAMOND)
    assert len(dag) == 5
    assert "left" in dag
    assert "nobody" not in dag


def test_roots_wait_for_nothing() -> None:
    assert Dag(DIAMOND).roots == ("alone", "start")


def test_layers_are_in_the_order_of_the_file() -> None:
    assert Dag(DIAMOND).layers() == [["alone", "start"], ["left", "right"], ["end"]]
    assert Dag({}).layers() == []


def test_a_task_stands_below_its_lowest_dependency() -> None:
    assert Dag({"a": [], "b": ["a"], "c": ["a", "b"]}).layers() == [["a"], ["b"], ["c"]]


def test_edges_follow_time() -> None:
    assert Dag(DIAMOND).edges() == [("left", "end"), ("right", "end"), ("start", "left"), ("start", "right")]


def test_a_dependency_that_is_named_twice_counts_once() -> None:
    dag = Dag({"a": [], "b": ["a", "a"]})
    assert dag.dependencies("b") == ("a",)
    assert dag.dependents("a") == ("b",)


def test_unknown_tasks_are_all_named() -> None:
    with pytest.raises(UnknownTasksError, match="task 'a' depends on the unknown 'x'") as caught:
        Dag({"a": ["x"], "b": ["a", "y"]})
    assert caught.value.pairs == (("a", "x"), ("b", "y"))


@pytest.mark.parametrize(
    ("depends", "path"),
    [
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        # The task before the circle and the one behind it are not part of it.
        ({"top": ["c"], "c": ["b"], "b": ["d"], "d": ["c", "low"], "low": []}, ("c", "b", "d", "c")),
    ],
)
def test_a_cycle_is_told_as_a_path(depends: dict[str, list[str]], path: tuple[str, ...]) -> None:
    with pytest.raises(CycleError, match=" -> ".join(path)) as caught:
        Dag(depends)
    assert caught.value.path == path
    assert find_cycle(depends) == path


def test_find_cycle_passes_over_unknown_ids() -> None:
    assert find_cycle({"a": ["x"], "b": ["a"]}) is None


def test_a_long_chain_needs_no_deep_stack() -> None:
    chain = {str(i): [str(i - 1)] if i else [] for i in range(10_000)}
    dag = Dag(chain)
    assert len(dag.layers()) == 10_000
    cycle = find_cycle({**chain, "0": ["9999"]})
    assert cycle is not None
    assert len(cycle) == 10_001


def test_nothing_changes_after_construction() -> None:
    depends = {"a": [], "b": ["a"]}
    dag = Dag(depends)
    depends["b"].clear()
    dag.layers()[0].append("c")
    assert dag.dependencies("b") == ("a",)
    assert dag.layers() == [["a"], ["b"]]
