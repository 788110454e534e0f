"""Fixtures of the fault experiments: trials, their seeds and sizes, and the table of what was found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.check import Findings
from tests.faults.load import FULL, QUICK, Size
from tests.faults.tally import Tally
from tests.faults.trial import Trial
from tests.integration.conftest import NewCluster, new_cluster, pytest_runtest_makereport

__all__ = ["new_cluster", "pytest_runtest_makereport"]

#: With these each experiment is repeated; the first is that of the quick form.
SEEDS = (1, 2, 3)

TALLY = Tally()


def is_full(config: pytest.Config) -> bool:
    """All experiments, all seeds, the whole load?"""
    return bool(config.getoption("faults") == "all")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `seed`, or a `trial`, is an experiment that is repeated; less often where chance has little
    part in it."""
    if "seed" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("seeds")
        count = (len(SEEDS) if marker is None else marker.args[0]) if is_full(metafunc.config) else 1
        metafunc.parametrize("seed", SEEDS[:count])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long is left out of the quick form."""
    if not is_full(config):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of the experiments."""
    if TALLY.rows:
        terminalreporter.section("fault experiments")
        terminalreporter.write_line(TALLY.table())
        if page := config.getoption("faults_page"):
            TALLY.write(Path(page))


class Experiment:
    """The row of one test in the table."""

    def __init__(self, node: pytest.Item) -> None:
        path = Path(node.path).relative_to(node.config.rootpath).as_posix()
        function = getattr(node, "originalname", node.name)
        self._test = f"{path}::{function}"
        self._name = function.removeprefix("test_").replace("_", " ")
        self.is_recorded = False

    def record(self, *, injected: int, survived: int, lost: int = 0) -> None:
        """One experiment was made: so many faults, so much that was accepted and is there, or is not."""
        self.is_recorded = True
        TALLY.record(self._name, self._test, injected=injected, survived=survived, lost=lost)

    def judge(self, trial: Trial, findings: Findings) -> None:
        """Enter what was found, and fail for what is wrong."""
        self.record(injected=trial.injected, survived=findings.runs + findings.lines, lost=len(findings.wrong))
        assert findings.runs, "nothing ran"
        assert not findings.wrong, "\n".join(findings.wrong[:20])


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """How much load."""
    return FULL if is_full(request.config) else QUICK


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> Iterator[Experiment]:
    """The row of this test in the table. One that did not come to its reckoning must not pass for none."""
    made = Experiment(request.node)
    yield made
    if not made.is_recorded:
        made.record(injected=1, survived=0, lost=1)


@pytest.fixture
def trial(new_cluster: NewCluster, seed: int, size: Size) -> Iterator[Trial]:
    """A cluster with twenty workflows, in which nothing runs yet."""
    made = Trial(new_cluster, seed, size)
    try:
        yield made
    finally:
        made.close()
