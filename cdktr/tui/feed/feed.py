"""The threads: one keeps fresh what is wanted, one does what was asked for, and log lines have their own (`logs`).

A request may take as long as the time-out of a dead network: it holds up its thread and nothing else.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue

from cdktr.client import Principal
from cdktr.errors import CdktrError, UnreachableError
from cdktr.messages import Request
from cdktr.tui.feed.actions import Drafts, perform
from cdktr.tui.feed.ask import REVISION_OF, Questions, abilities
from cdktr.tui.feed.logs import Listen, Pages, Tail
from cdktr.tui.state import commands as c
from cdktr.tui.state.events import Arrived, Away, Event, Failed, Up
from cdktr.tui.state.wants import Facts, OwnLog, Want

#: Tells the drawing thread; an error is raised there.
Emit = Callable[[Event | BaseException], None]

#: While something runs, the principal is asked this many times as often.
HASTE = 4

#: A question is not asked again before this many times as long as its answer took has gone by, or so many seconds.
MODESTY = 5
MOST_MODESTY_S = 2.0

#: Seconds between looks for a principal that is away.
RETRY_S = 1.0


class Feed:
    """`interval_s` is how often the principal is asked how it is."""

    def __init__(self, principal: Principal, listen: Listen, interval_s: float, emit: Emit) -> None:
        self._principal = principal
        self._emit = emit
        self._poll = _Poll(principal, interval_s, emit)
        self._pages = Pages(principal, emit)
        self._tail = Tail(principal, listen, emit)
        self._drafts = Drafts()
        self._asked: SimpleQueue[c.Trigger | c.SetPaused | c.ReloadFolder] = SimpleQueue()

    def start(self) -> None:
        """Start the threads; they end with the process."""
        for work in (self._poll.run, self._pages.run, self._do_actions):
            spawn(work, self._emit)

    def end(self) -> None:
        """Leave nothing half done on the disk: the process is about to end."""
        self._drafts.drop()

    def want(self, wants: tuple[Want, ...], missing: frozenset[Want]) -> None:
        """From now on, this is kept fresh; of what is missing, nothing is known yet, or any more."""
        self._poll.want(wants, missing)

    def do(self, command: c.Command) -> None:
        """Have something done; what comes of it is told."""
        match command:
            case c.Refresh():
                self._poll.hurry(everything=True)
            case c.FetchLogs():
                self._pages.fetch(command)
            case c.FollowLogs():
                self._tail.follow(command)
            case c.StopLogs():
                self._tail.stop()
            case c.SaveLogs():
                # Of a long log it takes long.
                spawn(lambda: perform(self._principal, command, self._drafts, self._emit), self._emit)
            case c.Trigger() | c.SetPaused() | c.ReloadFolder():
                self._asked.put(command)

    def _do_actions(self) -> None:
        while True:
            perform(self._principal, self._asked.get(), self._drafts, self._emit)
            self._poll.hurry()


def spawn(work: Callable[[], None], emit: Emit) -> None:
    """A thread whose failure is that of the drawing thread."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            emit(error)

    threading.Thread(target=run, name="feed", daemon=True).start()


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer that was told: at which revision, and until when nobody asks again."""

    answer: object
    revision: object
    rests_until: float


class _Poll:
    """Asks for all that is wanted, again and again; what did not change is not asked for, or not told."""

    def __init__(self, principal: Principal, interval_s: float, emit: Emit) -> None:
        self._principal = principal
        self._interval_s = interval_s
        self._emit = emit
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._wants: tuple[Want, ...] = (Facts(),)
        self._missing: frozenset[Want] = frozenset()
        self._everything = False
        self._questions: Questions | None = None
        self._known: dict[Want, _Known] = {}
        #: Seconds that the principal had been up.
        self._up = 0.0

    def want(self, wants: tuple[Want, ...], missing: frozenset[Want]) -> None:
        """From now on, this."""
        with self._lock:
            self._wants = wants
            self._missing |= missing
        self._wake.set()

    def hurry(self, everything: bool = False) -> None:
        """Look now; at everything, whether it changed or not."""
        with self._lock:
            self._everything |= everything
        self._wake.set()

    def run(self) -> None:
        """For ever."""
        while True:
            self._wake.clear()
            try:
                pause = self._look()
            except CdktrError as error:
                self._questions = None
                self._emit(Away(str(error)))
                # What is wanted now changes nothing: nobody is there to tell it.
                time.sleep(RETRY_S)
                continue
            self._wake.wait(pause)

    def _look(self) -> float:
        """One round; seconds until the next. Raises CdktrError when there is no principal to speak with."""
        with self._lock:
            wants, missing, self._missing = self._wants, self._missing, frozenset()
            everything, self._everything = self._everything, False
        self._known = {want: known for want, known in self._known.items() if want not in missing}
        if self._questions is None or everything:
            self._known.clear()
            self._up = 0.0
            able = abilities(self._ask)
            self._questions = Questions(self._ask, able)
            self._emit(Up(able))
        facts = self._answer(self._questions, Facts(), None)
        if self._is_another(facts):
            return 0.0
        for want in wants:
            revision = self._revision(want, facts)
            if want != Facts() and not self._is_fresh(want, revision):
                self._answer(self._questions, want, revision)
        self._known = {want: known for want, known in self._known.items() if want == Facts() or want in wants}
        is_busy = bool(facts.get("running") or facts.get("queued"))
        return self._interval_s / HASTE if is_busy else self._interval_s

    def _is_another(self, facts: Mapping[str, object]) -> bool:
        """Whether the principal was restarted between two looks: it may be another version, and counts anew."""
        up, before = facts.get("uptime_s"), self._up
        self._up = float(up) if isinstance(up, (int, float)) else 0.0
        if self._up < before:
            self._questions = None
        return self._up < before

    def _ask(self, request: Request, rest_s: float) -> object:
        return self._principal.ask(request, rest_s)

    def _answer(self, questions: Questions, want: Want, revision: object) -> Mapping[str, object]:
        """Ask, and tell the answer unless it is the last one again; it, where it is of facts. Raises
        UnreachableError."""
        began = time.monotonic()
        try:
            value = questions.answer(want)
        except UnreachableError:
            raise
        except CdktrError as error:
            self._known.pop(want, None)
            self._emit(Failed(want, str(error)))
            return {}
        now = time.monotonic()
        rests_until = now + min((now - began) * MODESTY, MOST_MODESTY_S)
        before, answer = self._known.get(want), self._shown(value) if want == Facts() else value
        self._known[want] = _Known(answer, revision, rests_until)
        if before is None or before.answer != answer:
            self._emit(Arrived(want, value))
        return value if isinstance(value, dict) else {}

    def _shown(self, facts: Mapping[str, object]) -> Mapping[str, object]:
        """The time since the start is always another, and shown beside the principal's own log alone."""
        if OwnLog() in self._wants:
            return facts
        return {name: value for name, value in facts.items() if name != "uptime_s"}

    def _is_fresh(self, want: Want, revision: object) -> bool:
        known = self._known.get(want)
        if known is None:
            return False
        return time.monotonic() < known.rests_until or (revision is not None and known.revision == revision)

    @staticmethod
    def _revision(want: Want, facts: Mapping[str, object]) -> object:
        """What is the same as long as the answer is; None where that is not known."""
        revisions, name = facts.get("revisions"), REVISION_OF.get(type(want))
        if not isinstance(revisions, dict) or name is None:
            return None
        # Another process counts anew.
        return facts.get("pid"), facts.get("host"), revisions.get(name)
