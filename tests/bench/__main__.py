"""`make bench`: what cdktr promises about speed, measured on this machine, beside a bare loop of spawns.

Each row is the median of several runs, with the smallest and largest. The bare loop (`Popen` and `wait` of `true`) is
measured again beside every row, so that the ratios hold on a machine whose speed drifts.
"""

import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import zmq

from cdktr.caller import Callers
from cdktr.client import Principal
from cdktr.protocol import (
    ClusterStatus,
    ListCatalog,
    ListLogs,
    ListRuns,
    ListTaskRuns,
    ListWorkflows,
    Ping,
    Reload,
    Trigger,
)
from tests.bench.cluster import Cluster
from tests.bench.screen import Screen

#: Measured runs of each row, after one that warms up.
RUNS = 7

#: Starts of the program.
STARTS = 21

#: Workflow files of a large folder.
MANY = 10_000

#: Seconds over which idle processes are watched.
IDLE_S = 10

TRUE = "{name: t, config: !Subprocess {cmd: 'true'}%s}"

WORKFLOWS = {
    "clock": "name: clock\ntasks:\n  t: {name: t, config: !Subprocess {cmd: date, args: ['+%s.%N']}}\n",
    "one": f"name: one\ntasks:\n  t: {TRUE % ''}\n",
    "chain": "name: chain\ntasks:\n"
    + "".join(f"  t{n}: {TRUE % (f', depends: [t{n - 1}]' if n else '')}\n" for n in range(20)),
    "flood": "name: flood\ntasks:\n  t: {name: t, config: !Subprocess {cmd: seq, args: ['1000000']}}\n",
    "talk": "name: talk\ntasks:\n  t: {name: t, config: !Subprocess {cmd: sh, args: ['-c', "
    "'for n in $(seq 300); do echo line $n of some length; sleep 0.1; done']}}\n",
    "wide": "name: wide\ntasks:\n" + "".join(f"  t{n}: {TRUE % ''}\n" for n in range(100)),
}


@dataclass(frozen=True)
class Row:
    """One measured promise: values in `unit`, `must` as the promise states it."""

    what: str
    must: str
    unit: str
    values: list[float]
    #: Milliseconds of one bare spawn, measured beside it.
    spawn_ms: float
    #: How many bare spawns the figure is to be held against; 0 for none.
    spawns: float = 0

    def line(self) -> str:
        """The row as text."""
        middle = statistics.median(self.values)
        spread = f"{min(self.values):.4g} … {max(self.values):.4g}"
        ratio = f"{middle / (self.spawns * self.spawn_ms):.2f} × bare spawns" if self.spawns else ""
        return f"{self.what:<58} {middle:>8.4g} {self.unit:<7} {spread:>18}   must {self.must:<12} {ratio}"


def spawn_ms(count: int = 100) -> float:
    """Milliseconds to start `true` and wait for it, in a bare loop: the median of `count`."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        subprocess.Popen(["true"]).wait()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def repeated(measure: Callable[[], float], runs: int = RUNS) -> list[float]:
    """The figures of `runs` measurements, after one that does not count."""
    measure()
    return [measure() for _ in range(runs)]


def run(client: Principal, workflow_id: str) -> str:
    """Trigger and wait; the run's id."""
    run_id = client.ask(Trigger(workflow_id))["workflow_instance_id"]
    assert client.await_run(run_id)["status"] == "COMPLETED"
    return str(run_id)


def trigger_to_start(client: Principal) -> float:
    """Milliseconds from before the trigger's request to the task's own look at the clock."""
    began = time.time()
    run_id = run(client, "clock")
    [line] = client.ask(ListLogs(workflow_instance_id=run_id))["lines"]
    return (float(line["payload"].removeprefix("STDOUT ")) - began) * 1000


def span_ms(client: Principal, workflow_id: str) -> float:
    """Milliseconds from the first task's start to the last one's end."""
    tasks: list[dict[str, Any]] = client.ask(ListTaskRuns(run(client, workflow_id)))
    return float(max(task["ended_ms"] for task in tasks) - min(task["started_ms"] for task in tasks))


def runs_per_second(client: Principal, port: int, count: int = 1000) -> float:
    """Runs of one task, all triggered at once, until the last has ended."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        began = time.perf_counter()
        for _ in range(count):
            socket.send_multipart([b"", Trigger("one").encode()])
        for _ in range(count):
            assert socket.recv_multipart()[-1].startswith(b"SUCCESS")
        while (status := client.ask(ClusterStatus()))["queued"] + status["running"]:
            time.sleep(0.01)
        return count / (time.perf_counter() - began)


def durable_triggers_per_second(port: int, clients: int = 32, each: int = 100) -> float:
    """Triggers that were answered, each of `clients` connections asking again as soon as it has its answer."""
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        poller = zmq.Poller()
        left: dict[zmq.Socket[bytes], int] = {}
        for _ in range(clients):
            socket = stack.enter_context(context.socket(zmq.REQ))
            socket.connect(f"tcp://127.0.0.1:{port}")
            poller.register(socket, zmq.POLLIN)
            left[socket] = each
        request = Trigger("nobody").encode()
        began = time.perf_counter()
        for socket in left:
            socket.send(request)
        while left:
            for socket, _ in poller.poll(10_000):
                assert socket.recv().startswith(b"SUCCESS")
                left[socket] -= 1
                if left[socket]:
                    socket.send(request)
                else:
                    del left[socket]
        return clients * each / (time.perf_counter() - began)


class Pinger(threading.Thread):
    """Asks PING all the while and notes how long each answer took, in milliseconds."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._over = threading.Event()
        self.times: list[float] = []

    def run(self) -> None:
        """Until `stop`."""
        with Principal(port=self._port, timeout_s=30) as client:
            while not self._over.wait(0.003):
                began = time.perf_counter()
                client.ask(Ping())
                self.times.append((time.perf_counter() - began) * 1000)

    def stop(self) -> float:
        """The 99th percentile."""
        self._over.set()
        self.join()
        return sorted(self.times)[int(len(self.times) * 0.99)]


def flood(client: Principal, port: int) -> tuple[float, float]:
    """A million lines from a task's pipe into the database: lines a second, and the API's 99th percentile meanwhile."""
    pinger = Pinger(port)
    pinger.start()
    began = time.perf_counter()
    run(client, "flood")
    took = time.perf_counter() - began
    return 1_000_000 / took, pinger.stop()


def last_hundred(client: Principal) -> float:
    """Milliseconds for the last 100 lines of the latest flood."""
    run_id = client.ask(ListRuns("flood", limit=1))[0]["workflow_instance_id"]
    began = time.perf_counter()
    lines = client.ask(ListLogs(workflow_instance_id=run_id, tail=True, limit=100))["lines"]
    took = (time.perf_counter() - began) * 1000
    assert [line["payload"] for line in lines] == [f"STDOUT {n}" for n in range(999_901, 1_000_001)]
    return took


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def idle(pids: dict[str, int]) -> list[Row]:
    """Processor and memory of processes that have nothing to do."""
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(IDLE_S)
    rows = []
    for name, pid in pids.items():
        busy = (cpu_s(pid) - before[name]) / IDLE_S * 100
        most = {"principal": 100, "agent": 40}[name]
        rows.append(Row(f"idle {name}: processor", "≤ 0.3 %", "%", [busy], 0))
        rows.append(Row(f"idle {name}: memory, before any run", f"≤ {most} MB", "MB", [memory_mb(pid)], 0))
    return rows


def screen_rows(size: tuple[int, int]) -> list[Row]:
    """The terminal UI: what it sends while nothing happens, while a run is watched, and while a log is followed."""
    rows = []
    what = f"ui, {size[0]} × {size[1]}"
    workflows = {name: WORKFLOWS[name] for name in ("clock", "flood", "talk")}
    with Cluster(workflows) as cluster, Screen(cluster.port, *size) as screen:
        screen.wait_for("talk")
        screen.settle()
        before = cpu_s(screen.pid)
        rows.append(Row(f"{what}: idle", "≤ 20 B/s", "B/s", [screen.bytes_per_second(IDLE_S)], 0))
        busy = (cpu_s(screen.pid) - before) / IDLE_S * 100
        rows.append(Row(f"{what}: processor, idle", "≤ 1 %", "%", [busy], 0))
        rows.append(Row(f"{what}: key → screen, 95th percentile", "≤ 50 ms", "ms", [screen.key_ms("2341" * 5)], 0))
        screen.press("Gr")
        screen.wait_for("RUNNING")
        rows.append(Row(f"{what}: a run is watched", "", "B/s", [screen.bytes_per_second(IDLE_S)], 0))
        screen.press("l")
        screen.wait_for("following")
        rows.append(Row(f"{what}: ten log lines a second", "≤ 2000 B/s", "B/s", [screen.bytes_per_second(IDLE_S)], 0))
        screen.press("\x1b/flood\rl")
        screen.wait_for("No line yet")
        with Principal(port=cluster.port) as client:
            client.run_workflow("flood")
        rows.append(Row(f"{what}: a million log lines at once", "", "B/s", [screen.bytes_per_second(3)], 0))
    return rows


def large_folder_rows() -> list[Row]:
    """The terminal UI and what it is told, with as many workflow files as a large installation has."""
    tasks = "".join(f"  t{n}: {TRUE % (f', depends: [t{n - 1}]' if n else '')}\n" for n in range(10))
    text = f"name: Many\ncron: 0 0 2 * * *\nparams: {{day: today}}\ntasks:\n{tasks}"
    what = f"{MANY:,} workflows of 10 tasks"
    with (
        Cluster({f"w{n:05}": text for n in range(MANY)}) as cluster,
        Principal(port=cluster.port, timeout_s=60) as client,
    ):
        cluster.stop_agent()
        while client.ask(ClusterStatus())["workflows"] < MANY:
            time.sleep(0.5)
        callers = Callers("127.0.0.1", cluster.port)
        sizes = {request: len(callers.call(request.encode(), 60)) / 1e6 for request in (ListWorkflows(), ListCatalog())}
        callers.close()
        firsts, ends = [], []
        for _ in range(3):
            began = time.perf_counter()
            with Screen(cluster.port, 80, 24) as screen:
                screen.wait_for("w00003")
                firsts.append((time.perf_counter() - began) * 1000)
                screen.settle()
                used = memory_mb(screen.pid)
                key_ms = changing_folder(cluster, client, screen)
                ends.append(screen.end_ms())
    return [
        Row(f"{what}: all definitions, as they were listed before", "", "MB", [sizes[ListWorkflows()]], 0),
        Row(f"{what}: what lists ask for", "≤ 2 MB", "MB", [sizes[ListCatalog()]], 0),
        Row(f"{what}: ui, start → first rows", "≤ 1 s", "ms", firsts, 0),
        Row(f"{what}: ui, memory", "≤ 100 MB", "MB", [used], 0),
        Row(f"{what}: ui, key → screen, the folder changing", "≤ 50 ms", "ms", [key_ms], 0),
        Row(f"{what}: ui, q → end", "≤ 200 ms", "ms", ends, 0),
    ]


def changing_folder(cluster: Cluster, client: Principal, screen: Screen) -> float:
    """Milliseconds from a key to the screen, the 95th percentile, while files of the folder change."""
    is_over = threading.Event()

    def change() -> None:
        number = 0
        while not is_over.wait(1.0):
            path = cluster.folder / "workflows" / f"w{number:05}.yml"
            path.write_text(f"{path.read_text()}\n# Another version.\n")
            client.ask(Reload(), 60)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    found = screen.key_ms("jjjkk" * 6)
    is_over.set()
    thread.join()
    return found


def start_ms(command: list[str], env: dict[str, str]) -> float:
    """Milliseconds until a command has ended well."""
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def binary(made: Path, port: int) -> list[Row]:
    """Starts of the one file, of the folder that it unpacks and of PyInstaller's one-file mode, in turn."""
    with tempfile.TemporaryDirectory(prefix="cdktr-bench-") as folder:
        file = Path(shutil.copy(made, folder))
        env = {"PATH": os.environ["PATH"], "CDKTR_APP_DATA_DIRECTORY": folder, "CDKTR_PRINCIPAL_PORT": str(port)}
        first = start_ms([str(file), "--version"], env)
        [program] = Path(folder).glob("program-*/*/cdktr")
        peer = made.with_name("cdktr-onefile")
        starts = {"the one file": file, "its unpacked folder": program, "PyInstaller's one-file mode": peer}
        times: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(STARTS):
            for name, path in starts.items():
                times[name].append(start_ms([str(path), "--version"], env))
        listed = repeated(lambda: start_ms([str(file), "task", "list"], env), STARTS)
    must = {"the one file": "≤ 60 ms"}
    return [
        Row("size of the one file", "≤ 40 MB", "MB", [made.stat().st_size / 1e6], 0),
        Row("first start, unpacking", "once", "ms", [first], 0),
        *(Row(f"--version: {name}", must.get(name, "beside it"), "ms", found, 0) for name, found in times.items()),
        Row("task list: the one file, against a live principal", "≤ 200 ms", "ms", listed, 0),
    ]


def main() -> None:
    """Measure and print."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    print(
        f"{platform.platform()}, {os.cpu_count()} processors,{cpu.partition(':')[2]}, "
        f"Python {platform.python_version()}"
    )
    print(f"bare loop: start `true` and wait for it: {spawn_ms(300):.3f} ms\n")
    for row in chain(large_folder_rows(), *map(screen_rows, ((80, 24), (200, 60)))):
        print(row.line(), flush=True)
    with Cluster(WORKFLOWS) as cluster, Principal(port=cluster.port, timeout_s=30) as client:
        for row in idle({"principal": cluster.principal.pid, "agent": cluster.agent.pid}):
            print(row.line(), flush=True)
        for row in binary(Path("dist/cdktr"), cluster.port):
            print(row.line(), flush=True)
        measured: list[tuple[str, str, str, Callable[[], float], float, int]] = [
            ("trigger sent → first task looks at the clock", "≤ 10 ms", "ms", lambda: trigger_to_start(client), 1, 21),
            ("chain of 20 × true: a task", "≤ 3 ms", "ms", lambda: span_ms(client, "chain") / 20, 1, RUNS),
            ("100 independent × true in one workflow", "≤ 350 ms", "ms", lambda: span_ms(client, "wide"), 100, RUNS),
        ]
        for what, must, unit, measure, spawns, runs in measured:
            print(Row(what, must, unit, repeated(measure, runs), spawn_ms(), spawns).line(), flush=True)
        values = repeated(lambda: runs_per_second(client, cluster.port), 3)
        row = Row("1,000 runs of one task, triggered at once", "≥ 200 /s", "runs/s", values, spawn_ms())
        print(row.line(), f"{1000 / statistics.median(values) / row.spawn_ms:.2f} × bare spawns a run", flush=True)
        floods = [flood(client, cluster.port) for _ in range(10)]
        rates = [rate for rate, _ in floods]
        print(Row("a task's million lines into the database", "≥ 250,000 /s", "lines/s", rates, 0).line())
        waits = [wait for _, wait in floods]
        print(Row("PING meanwhile, 99th percentile", "≤ 20 ms", "ms", waits, 0).line())
        memory = [memory_mb(cluster.principal.pid)]
        print(Row("principal: memory after that", "bounded", "MB", memory, 0).line())
        memory = [memory_mb(cluster.agent.pid)]
        print(Row("agent: memory after that", "bounded", "MB", memory, 0).line())
        values = repeated(lambda: last_hundred(client))
        print(Row("last 100 lines of one run out of 10 million", "≤ 100 ms", "ms", values, 0).line(), flush=True)
    with Cluster({"nobody": WORKFLOWS["one"]}) as cluster:
        cluster.stop_agent()
        values = repeated(lambda: durable_triggers_per_second(cluster.port), 5)
        print(Row("durable triggers, 32 clients", "≥ 3,000 /s", "/s", values, 0).line())


if __name__ == "__main__":
    main()
