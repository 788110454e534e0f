"""Who looks on while things break: a subscriber of the live lines, and a client that asks. What they were shown must
be in the history in the end, as they were shown it."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

import zmq

from cdktr import protocol as p
from cdktr.client import Principal
from cdktr.errors import CdktrError
from tests.faults.check import FINAL, Told


class Witness:
    """Looks on between `with` and its end. `told` is only to be read after that."""

    def __init__(self, hosts: str, api: int, publisher: int) -> None:
        #: A list as in CDKTR_PRINCIPAL_HOST, without ports; to be changed before `with` only.
        self.hosts = hosts
        self.told = Told()
        self._api, self._publisher = api, publisher
        self._stopping = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in (self._listen, self._query)
        ]

    def __enter__(self) -> "Witness":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        if error is None:
            assert not self._errors, self._errors

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._errors.append(error)

    def _listen(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as raw:
            raw.setsockopt(zmq.LINGER, 0)
            raw.setsockopt(zmq.RCVTIMEO, 100)
            raw.setsockopt(zmq.RECONNECT_IVL, 20)
            raw.setsockopt(zmq.SUBSCRIBE, b"")
            for host in self.hosts.split(","):
                raw.connect(f"tcp://{host}:{self._publisher}")
            while not self._stopping.is_set():
                try:
                    words = raw.recv().decode().split("\x01", 7)
                except zmq.Again:
                    continue
                self.told.note(self.told.live, words[2], words[4], words[6], words[7])

    def _query(self) -> None:
        with Principal(self.hosts, self._api) as principal:
            while not self._stopping.wait(0.2):
                try:
                    for run in principal.ask(p.ListRuns(limit=1000), 10.0):
                        if run["status"] in FINAL:
                            self.told.ends.setdefault(run["workflow_instance_id"], run["status"])
                    for line in principal.ask(p.ListLogs(tail=True, limit=1000), 10.0)["lines"]:
                        names = ("workflow_instance_id", "task_instance_id", "level", "payload")
                        self.told.note(self.told.lines, *(line[name] for name in names))
                except CdktrError:
                    # It is being broken.
                    time.sleep(0.1)
