"""Fixtures of the integration tests: running clusters, and what they said when a test fails."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster

NewCluster = Callable[..., Cluster]

#: Every cluster in use now.
_clusters: list[Cluster] = []


@contextmanager
def watched(cluster: Cluster) -> Iterator[None]:
    """Until the end of the block; its processes are ended then, and shown beside each failure before."""
    _clusters.append(cluster)
    try:
        yield
    finally:
        _clusters.remove(cluster)
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A principal with an agent of five slots, shared by the tests of a module."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with watched(cluster):
        cluster.start_principal()
        cluster.start_agent()
        yield cluster


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[NewCluster]:
    """`new_cluster(**settings)` makes a cluster of its own, in which nothing runs yet; it is ended after the test."""
    with ExitStack() as mine:
        numbers = count()

        def make(**settings: str) -> Cluster:
            cluster = Cluster(tmp_path / f"cluster{next(numbers)}", settings)
            mine.enter_context(watched(cluster))
            return cluster

        yield make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes said beside the failure."""
    report = yield
    if report.failed:
        for cluster in _clusters:
            report.sections.append((f"cluster in {cluster.folder}", cluster.text))
    return report
