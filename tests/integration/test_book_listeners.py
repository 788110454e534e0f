"""The four listeners of the book, as they stand in `workflows/examples/listeners`, with the servers that they need.

Their ports are fixed: the principal with its agent, the servers, the listeners and whoever makes the events are in a
network namespace, where these are free.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests import namespace
from tests.integration import servers, within
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import watched
from tests.namespace import Namespace

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(namespace.why_not() is not None, reason=f"no free ports: {namespace.why_not()}"),
]

LISTENERS = ROOT / "workflows" / "examples" / "listeners"

WORKFLOW = "name: Sample\ntasks: {hello: {name: Hello, config: !Subprocess {cmd: echo, args: [hello]}}}\n"

#: The two ways to start a listener.
WAYS = ("cdktr listen", "python")


class Place(Cluster):
    """A namespace with a principal and its agent, and the steps that are made in it."""

    def __init__(self, folder: Path, there: Namespace) -> None:
        super().__init__(folder, {"CDKTR_PRINCIPAL_PORT": "5561"})
        self.there = there
        self.enter = there.enter
        self._unused = iter([f"sample{number}" for number in range(30)])
        for number in range(30):
            self.write(f"sample{number}", WORKFLOW)

    def fresh(self) -> str:
        """A workflow that no test has run."""
        return next(self._unused)

    def serve(self) -> None:
        """Start the principal with its agent; return when both are ready."""
        self.principal = self.spawn("start", "principal", "--with-agent")
        self.principal.wait_for(r"Agent \S+ ready")

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of `within`."""
        command = [*self.enter, sys.executable, "-m", within.__name__, function.__name__, json.dumps(arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S * 2)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def listening(self, name: str, ready: str, way: str = WAYS[0]) -> Iterator[Daemon]:
        """A listener of the book, from when it says that it is ready until the end of the block."""
        script = str(LISTENERS / name)
        if way == "cdktr listen":
            listener = self.spawn("listen", script)
        else:
            # As for somebody who has the package installed; and a pipe gets each line as it is printed.
            env = self.environment({"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"})
            listener = Daemon(f"python {name}", [*self.enter, sys.executable, script], self.folder, env)
            self.daemons.append(listener)
        try:
            listener.wait_for(ready)
            yield listener
            assert listener.process.poll() is None, "it ended by itself"
        finally:
            listener.stop()

    def webhook(self, way: str = WAYS[0]) -> AbstractContextManager[Daemon]:
        """The one with Flask."""
        return self.listening("flask_webhook.py", r"Press CTRL\+C to quit", way)

    def queue(self, way: str = WAYS[0]) -> AbstractContextManager[Daemon]:
        """The one with pika."""
        return self.listening("rabbitmq.py", f"Listening for workflow triggers on queue: {within.QUEUE}", way)

    @contextmanager
    def emptied_queue(self, way: str = WAYS[0]) -> Iterator[None]:
        """The same; at the end of the block it has acknowledged every message."""
        with self.queue(way):
            yield
            assert self.step(within.delivered)
        assert self.step(within.purge) == 1

    def database(self, way: str = WAYS[0]) -> AbstractContextManager[Daemon]:
        """The one with psycopg2."""
        return self.listening("postgres_notify.py", "Listening for notifications on channel: workflow_triggers", way)

    @contextmanager
    def without_principal(self) -> Iterator[None]:
        """It is killed, and starts again at the end of the block."""
        self.principal.signal(signal.SIGKILL)
        self.principal.wait()
        yield
        self.serve()

    def made(self, workflow_id: str, count: int = 1) -> None:
        """Exactly so many runs come to be, each triggered by a listener, and each ends well."""
        runs = self.step(within.runs, workflow_id, count)
        assert [(run["trigger"], run["status"]) for run in runs] == [("listener", "COMPLETED")] * count


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Namespace() as there:
        place = Place(tmp_path_factory.mktemp("place"), there)
        with watched(place):
            place.serve()
            yield place


@pytest.fixture(scope="module", autouse=True)
def starting(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon | None]:
    """RabbitMQ takes a while to start: it does so while the other listeners are tried."""
    if not servers.RABBITMQ:
        yield None
        return
    with servers.rabbitmq(place.there, tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture
def rabbitmq(starting: Daemon | None) -> None:
    if starting is None:
        pytest.skip("there is no RabbitMQ here (Debian package rabbitmq-server)")
    starting.wait_for("startup complete")


Notify = Callable[..., None]


@pytest.fixture(scope="module")
def notify(place: Place) -> Iterator[Notify]:
    """`notify("a", "b")` makes a notification of each, all in one transaction."""
    if not servers.POSTGRESQL:
        pytest.skip("there is no PostgreSQL here (Debian package postgresql)")
    with (
        servers.postgresql(place.there) as folder,
        closing(psycopg2.connect(host=folder, user="postgres", dbname="mydb")) as connection,
    ):

        def notify(*payloads: str) -> None:
            with connection, connection.cursor() as cursor:
                for payload in payloads:
                    cursor.execute("SELECT pg_notify('workflow_triggers', %s)", [payload])

        yield notify


@pytest.mark.parametrize("way", WAYS)
def test_an_http_request_makes_a_run(place: Place, way: str) -> None:
    name = place.fresh()
    with place.webhook(way):
        assert place.step(within.post, name) == [[200, {"status": "triggered", "workflow": name}]]
        place.made(name)


def test_requests_at_once_make_a_run_each(place: Place) -> None:
    """Flask has a thread for each of them, and all use the one `Principal`."""
    name = place.fresh()
    with place.webhook():
        assert [status for status, _ in place.step(within.post, name, 20)] == [200] * 20
        place.made(name, 20)


def test_a_request_that_cannot_be_carried_out_is_told_why(place: Place) -> None:
    """An unknown workflow, then no principal; with a principal again the listener goes on."""
    name = place.fresh()
    with place.webhook():
        [(status, body)] = place.step(within.post, "nothing")
        assert (status, body["status"]) == (500, "failed")
        assert "No workflow exists with id nothing" in body["error"]
        with place.without_principal():
            [(status, body)] = place.step(within.post, name)
            assert (status, body["status"]) == (500, "failed")
            assert "localhost:5561" in body["error"]
        assert place.step(within.post, name)[0][0] == 200
        place.made(name)


@pytest.mark.parametrize("way", WAYS)
def test_a_notification_makes_a_run(place: Place, notify: Notify, way: str) -> None:
    name = place.fresh()
    with place.database(way):
        notify(name)
        place.made(name)


def test_notifications_at_once_make_a_run_each(place: Place, notify: Notify) -> None:
    names = [place.fresh(), place.fresh()]
    with place.database():
        notify(*names)
        for name in names:
            place.made(name)


def test_a_notification_that_cannot_be_carried_out_does_not_end_the_listener(place: Place, notify: Notify) -> None:
    """One of an unknown workflow, and one while there is no principal, which is lost."""
    lost, name = place.fresh(), place.fresh()
    with place.database() as listener:
        notify("nothing")
        listener.wait_for("Received notification: nothing")
        with place.without_principal():
            notify(lost)
            listener.wait_for(f"Received notification: {lost}")
        notify(name)
        place.made(name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("rabbitmq")
def test_a_message_makes_a_run(place: Place, way: str) -> None:
    name = place.fresh()
    with place.emptied_queue(way):
        place.step(within.publish, name)
        place.made(name)


@pytest.mark.usefixtures("rabbitmq")
def test_messages_at_once_make_a_run_each(place: Place) -> None:
    """Those that came before the listener too."""
    name = place.fresh()
    place.step(within.publish, name, 10)
    with place.emptied_queue():
        place.step(within.publish, name, 10)
        place.made(name, 20)


@pytest.mark.usefixtures("rabbitmq")
def test_a_message_outlasts_a_principal_that_is_away(place: Place) -> None:
    name = place.fresh()
    with place.emptied_queue():
        with place.without_principal():
            place.step(within.publish, name)
            # The listener has it in hand, again and again.
            assert place.step(within.waiting, 0) == 0
        place.made(name)


@pytest.mark.usefixtures("rabbitmq")
def test_a_message_of_an_unknown_workflow_is_not_lost(place: Place) -> None:
    """It goes back to the queue, and makes its run once there is the workflow."""
    with place.queue():
        place.step(within.publish, "late")
        assert place.step(within.waiting, 0) == 0
    assert place.step(within.waiting, 1) == 1
    with place.emptied_queue():
        place.write("late", WORKFLOW)
        assert place.cli("task", "reload").returncode == 0
        place.made("late")


def test_the_base_class_says_what_is_missing(place: Place) -> None:
    done = place.cli("listen", str(LISTENERS / "custom.py"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("Subclasses must implement start_listening()")


OWN = """
from custom import MyCustomListener

class Mine(MyCustomListener):
    def start_listening(self):
        print(self.run_workflow("{name}"))
        print(self.run_workflow("nothing"))

if __name__ == "__main__":
    Mine().start_listening()
"""


def test_the_base_class_with_an_event_detection_of_ones_own(place: Place) -> None:
    """It finds the principal by itself."""
    name = place.fresh()
    shutil.copy(LISTENERS / "custom.py", place.folder)
    script = place.folder / "mine.py"
    script.write_text(OWN.format(name=name))
    done = place.cli("listen", str(script))
    assert done.returncode == 0, done.stderr
    good, bad = done.stdout.splitlines()
    assert good.startswith("Result(success=True, error=None, payload={'workflow_instance_id': ")
    assert bad.startswith("Result(success=False, error='No workflow exists with id nothing")
    place.made(name)


def test_the_catalog_passes_over_them(place: Place) -> None:
    """They may stand among the workflow files."""
    done = place.cli("validate", str(LISTENERS.parent))
    assert "listeners" not in done.stdout + done.stderr
