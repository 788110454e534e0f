"""The load of the fault experiments: twenty workflows whose tasks write down themselves what they did.

Each attempt of a task has a file of its own, named `run.task.instance.attempt`, to which it appends `start`, and at its
end `end CODE`. What it prints follows from the plan: line i of an attempt is `o ATTEMPT i` on stdout, `e ATTEMPT i` on
stderr. Nothing of cdktr has a hand in either, so both can be held against its history.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdktr import protocol as p
from cdktr.client import Principal
from cdktr.errors import StoreError, UnreachableError

#: FOLDER BLOCKS OUT ERR PAUSE FAILURES: so many blocks of lines with pauses; fails in its first FAILURES attempts.
TASK = r"""#!/bin/sh
record="$1/$CDKTR_WORKFLOW_INSTANCE_ID.$CDKTR_TASK_ID.$CDKTR_TASK_INSTANCE_ID.$CDKTR_ATTEMPT"
echo start >> "$record"
say() {
    awk -v s="$1" -v a="$CDKTR_ATTEMPT" -v i=$((block * $2)) -v n=$((block * $2 + $2)) \
        'BEGIN { for (; i < n; i++) print s, a, i }'
}
block=0
while [ $block -lt "$2" ]; do
    [ "$3" -eq 0 ] || say o "$3"
    [ "$4" -eq 0 ] || say e "$4" >&2
    sleep "$5"
    block=$((block + 1))
done
code=0
[ "$CDKTR_ATTEMPT" -gt "$6" ] || code=3
echo "end $code" >> "$record"
exit $code
"""

#: Seconds until a client has got all its triggers answered: a limit for a hanging test, not a measure.
PATIENCE_S = 180.0

STREAMS = {"INFO": ("STDOUT", "o"), "ERROR": ("STDERR", "e")}


@dataclass(frozen=True)
class Step:
    """One task: what it prints in a block, and in how many attempts it fails."""

    id: str
    depends: tuple[str, ...] = ()
    blocks: int = 1
    out: int = 1
    err: int = 0
    pause_s: float = 0.05
    failures: int = 0
    retries: int = 0

    @property
    def succeeds(self) -> bool:
        """Does its last attempt end well?"""
        return self.failures <= self.retries

    @property
    def attempts(self) -> int:
        """How many there are when nothing disturbs it."""
        return min(self.failures, self.retries) + 1

    def printed(self, level: str) -> int:
        """Lines of one attempt on the stream of this level."""
        return self.blocks * (self.out if level == "INFO" else self.err)

    def lines(self, level: str, attempts: int) -> Iterator[str]:
        """The payloads of so many attempts, as the history has them."""
        stream, letter = STREAMS[level]
        for attempt in range(1, attempts + 1):
            for number in range(self.printed(level)):
                yield f"{stream} {letter} {attempt} {number}"


@dataclass(frozen=True)
class Plan:
    """One workflow, and what must become of it when nothing disturbs it."""

    id: str
    steps: tuple[Step, ...]

    def statuses(self) -> dict[str, str]:
        """How each task ends."""
        ends: dict[str, str] = {}
        for step in self.steps:
            if any(ends[before] != "COMPLETED" for before in step.depends):
                ends[step.id] = "SKIPPED"
            else:
                ends[step.id] = "COMPLETED" if step.succeeds else "FAILED"
        return ends

    @property
    def status(self) -> str:
        """How the run ends."""
        return "FAILED" if "FAILED" in self.statuses().values() else "COMPLETED"

    def yaml(self, script: Path, records: Path) -> str:
        """The workflow file."""
        text = f"name: {self.id}\nparams: {{mark: none}}\ntasks:\n"
        for s in self.steps:
            arguments = (script, records, s.blocks, s.out, s.err, s.pause_s, s.failures)
            quoted = ", ".join(f'"{argument}"' for argument in arguments)
            text += (
                f"  {s.id}:\n    name: {s.id}\n    depends: [{', '.join(s.depends)}]\n"
                f"    retries: {s.retries}\n    retry_delay: 50ms\n"
                f"    config: !Subprocess {{cmd: sh, args: [{quoted}]}}\n"
            )
        return text


@dataclass(frozen=True)
class Size:
    """How much of it. `lines` is what one task of a noisy workflow prints; a client waits up to `pace_s` seconds from
    one trigger to the next, so that there are some under way whenever something breaks."""

    rounds: int
    noisy_rounds: int
    lines: int
    faults: int
    pace_s: float


QUICK = Size(rounds=1, noisy_rounds=1, lines=10_000, faults=1, pace_s=0.8)
FULL = Size(rounds=3, noisy_rounds=1, lines=100_000, faults=3, pace_s=0.4)

#: A workflow with one cheap task, of which any number may be triggered.
TINY = Plan("tiny", (Step("only", pause_s=0),))

#: One that ends only when it is ended.
SLEEPER = Plan("sleeper", (Step("only", pause_s=100_000),))

EXTRA = (TINY, SLEEPER)


def plans(chance: random.Random, size: Size) -> list[Plan]:
    """Twenty workflows: chains, fan-outs, some that fail, some that are tried again, some noisy."""
    made: list[Plan] = []

    def step(name: str, *depends: str, failures: int = 0, retries: int = 0) -> Step:
        blocks, out, err = chance.randint(1, 4), chance.randint(0, 20), chance.randint(0, 5)
        return Step(name, depends, blocks, out, err, chance.choice((0, 0.02, 0.1)), failures, retries)

    def chain(length: int, failing: int = -1, failures: int = 0, retries: int = 0) -> tuple[Step, ...]:
        names = [f"s{number}" for number in range(length)]
        return tuple(
            step(
                name, *names[max(0, n - 1) : n], **({"failures": failures, "retries": retries} if n == failing else {})
            )
            for n, name in enumerate(names)
        )

    for n in range(6):
        made.append(Plan(f"chain{n}", chain(chance.randint(2, 5))))
    for n in range(5):
        middle = [f"m{k}" for k in range(chance.randint(2, 4))]
        steps = (step("first"), *(step(name, "first") for name in middle), step("last", *middle))
        made.append(Plan(f"fan{n}", steps))
    for n in range(3):
        made.append(Plan(f"fails{n}", chain(3, failing=n, failures=1)))
    for n in range(3):
        made.append(Plan(f"again{n}", chain(2, failing=n % 2, failures=chance.randint(1, 2), retries=2 if n else 1)))
    for n, shares in enumerate(((1, 0), (0, 1), (0.5, 0.5))):
        out, err = (int(share * size.lines / 10) for share in shares)
        made.append(Plan(f"noisy{n}", (Step("talk", (), 10, out, err, 0.1), Step("after", ("talk",)))))
    return made


@dataclass
class Load:
    """The workflows, who triggers them, and what they were told. `mark` is a parameter that tells triggers apart."""

    folder: Path
    port: int
    chance: random.Random
    size: Size
    #: mark -> run id, of every trigger that was answered.
    accepted: dict[str, str] = field(default_factory=dict)
    #: Marks of triggers without an answer: they may have become a run, or not.
    unanswered: set[str] = field(default_factory=set)
    #: Marks of triggers that were refused for trouble of the principal: nothing of them may run.
    refused: set[str] = field(default_factory=set)
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.plans: Mapping[str, Plan] = {plan.id: plan for plan in [*plans(self.chance, self.size), *EXTRA]}
        self.records = self.folder / "records"
        self.records.mkdir()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def write(self) -> None:
        """Write script and workflow files; to be called before the principal starts."""
        script = self.folder / "task.sh"
        script.write_text(TASK)
        workflows = self.folder / "workflows"
        for plan in self.plans.values():
            (workflows / f"{plan.id}.yml").write_text(plan.yaml(script, self.records))

    # Triggers.

    def begin(self, clients: int = 4) -> None:
        """Have all workflows triggered, in any order, by several clients."""
        names = [name for name in self.plans if self.plans[name] not in EXTRA]
        deck = [name for name in names for _ in range(self._rounds(name))]
        self.chance.shuffle(deck)
        for n in range(clients):
            self._spawn(n, deck[n::clients], self.chance.randrange(2**32))

    def _rounds(self, name: str) -> int:
        return self.size.noisy_rounds if name.startswith("noisy") else self.size.rounds

    def _spawn(self, number: int, hand: Sequence[str], seed: int) -> None:
        def work() -> None:
            try:
                with Principal(self.host, self.port) as principal:
                    self._play(principal, f"c{number}", hand, random.Random(seed))
            except BaseException as error:
                self._errors.append(error)

        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _play(self, principal: Principal, name: str, hand: Sequence[str], chance: random.Random) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for number, workflow in enumerate(hand):
            attempt = 0
            while not self.trigger(principal, workflow, f"{name}.{number}.{attempt}"):
                assert time.monotonic() < deadline, f"{name} got no answer"
                attempt += 1
                time.sleep(0.1)
            time.sleep(chance.uniform(0, self.size.pace_s))

    def trigger(self, principal: Principal, workflow: str, mark: str) -> bool:
        """Trigger a run; True when it was accepted."""
        try:
            answer = principal.ask(p.Trigger(workflow, {"mark": mark}))
        except UnreachableError:
            self.unanswered.add(mark)
        except StoreError:
            self.refused.add(mark)
        else:
            self.accepted[mark] = str(answer["workflow_instance_id"])
            return True
        return False

    def burst(self, clients: int = 8) -> Callable[[], None]:
        """Trigger tiny runs without a pause, from so many clients, until one gets no answer; returns what ends it."""
        stopping = threading.Event()

        def work(number: int) -> None:
            try:
                with Principal(self.host, self.port) as principal:
                    count = 0
                    while not stopping.is_set() and self.trigger(principal, TINY.id, f"b{stamp}.{number}.{count}"):
                        count += 1
            except BaseException as error:
                self._errors.append(error)

        stamp = len(self.accepted)
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(clients)]
        for thread in threads:
            thread.start()

        def end() -> None:
            stopping.set()
            for thread in threads:
                thread.join(PATIENCE_S)

        return end

    def join(self) -> None:
        """Return when the clients have an answer to each trigger."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a client hangs"
        assert not self._errors, self._errors

    @property
    def is_over(self) -> bool:
        """True when no client triggers any more."""
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def begun(self) -> int:
        """How many attempts have begun, by their own word."""
        return sum(1 for _ in self.records.iterdir())
