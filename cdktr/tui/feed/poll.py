"""What is kept fresh: how the principal is, in one thread, and what is wanted, in others.

A thread asks one thing at a time, so that what takes long delays only what comes from the same place: a query of the
history neither how the principal is, nor a definition.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from cdktr.client import Principal
from cdktr.errors import CdktrError, UnreachableError
from cdktr.messages import Request
from cdktr.tui.feed.ask import REVISION_OF, Questions, abilities
from cdktr.tui.state.events import Arrived, Away, Event, Failed, Up
from cdktr.tui.state.facts import Abilities
from cdktr.tui.state.wants import Facts, OwnLog, TheAgents, TheDefinition, TheFolder, Want

#: Tells the drawing thread; an error is raised there.
Emit = Callable[[Event | BaseException], None]

#: While something runs, the principal is asked this many times as often.
HASTE = 4

#: A question is not asked again before this many times as long as its answer took has gone by. Of what is said to have
#: changed that is so many seconds at most, or a host that is busy would make a screen that is old; of what nobody says
#: anything, so many.
MODESTY = 5
CHANGED_S = 2.0
UNKNOWN_S = 10.0

#: Seconds between looks for a principal that is away.
RETRY_S = 1.0


class Lane(Enum):
    """Where answers come from, and so what waits for what."""

    FOLDER = auto()
    MEMORY = auto()
    HISTORY = auto()


_LANES = {TheFolder: Lane.FOLDER, TheDefinition: Lane.FOLDER, TheAgents: Lane.MEMORY, OwnLog: Lane.MEMORY}


def lane_of(want: Want) -> Lane:
    """The lane of a want."""
    return _LANES.get(type(want), Lane.HISTORY)


@dataclass(frozen=True, slots=True)
class Order:
    """What a lane goes by: another `number` where any of it changed."""

    number: int = 0
    wants: tuple[Want, ...] = (Facts(),)
    #: None while there is no principal to speak with.
    able: Abilities | None = None
    #: Counts the principals, and how often all was to be asked for anew.
    era: int = 0
    #: Counts the looks at how the principal is; `facts` are what the last one told.
    look: int = 0
    facts: Mapping[str, object] | None = None


class Board:
    """Where the threads see what is to be done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._order = Order()
        self._missing: dict[Lane, set[Want]] = {lane: set() for lane in Lane}

    @property
    def order(self) -> Order:
        """As it is now."""
        return self._order

    def want(self, wants: tuple[Want, ...], missing: frozenset[Want]) -> None:
        """From now on, this is kept fresh; of what is missing, nothing is known yet, or any more."""
        with self._changed:
            for want in missing:
                self._missing[lane_of(want)].add(want)
            self._post(replace(self._order, wants=wants))

    def looked(self, able: Abilities, era: int, facts: Mapping[str, object]) -> None:
        """The principal is there, and told this of itself."""
        with self._changed:
            self._post(replace(self._order, able=able, era=era, facts=facts, look=self._order.look + 1))

    def away(self) -> None:
        """There is nobody to be asked."""
        with self._changed:
            self._post(replace(self._order, able=None))

    def _post(self, order: Order) -> None:
        self._order = replace(order, number=order.number + 1)
        self._changed.notify_all()

    def next(self, seen: int) -> Order:
        """Another order than the one that was seen; waits for one, and for a principal."""
        with self._changed:
            self._changed.wait_for(lambda: self._order.number != seen and self._order.able is not None)
            return self._order

    def missing(self, lane: Lane) -> set[Want]:
        """What a lane has to ask for whether it was answered before or not; told once."""
        with self._changed:
            found, self._missing[lane] = self._missing[lane], set()
            return found


class Front:
    """Asks how the principal is, again and again. It alone says whether one is there."""

    def __init__(self, principal: Principal, interval_s: float, board: Board, emit: Emit) -> None:
        self._principal = principal
        self._interval_s = interval_s
        self._board = board
        self._emit = emit
        self._wake = threading.Event()
        self._everything = threading.Event()
        self._able: Abilities | None = None
        self._era = 0
        self._told: Mapping[str, object] | None = None
        #: Seconds that the principal had been up.
        self._up = 0.0

    def hurry(self, everything: bool = False) -> None:
        """Look now; at everything, whether it changed or not."""
        if everything:
            self._everything.set()
        self._wake.set()

    def run(self) -> None:
        """For ever."""
        while True:
            self._wake.clear()
            try:
                pause = self.look()
            except CdktrError as error:
                self._able = None
                self._board.away()
                self._emit(Away(str(error)))
                time.sleep(RETRY_S)
                continue
            self._wake.wait(pause)

    def look(self) -> float:
        """One look; seconds until the next. Raises CdktrError when there is no principal to speak with."""
        everything = self._everything.is_set()
        self._everything.clear()
        if self._able is None or everything:
            self._able = able = abilities(self._ask)
            self._era, self._up, self._told = self._era + 1, 0.0, None
            self._emit(Up(able))
        able = self._able
        facts = self._facts(able)
        if self._is_another(facts):
            self._able = None
            return 0.0
        self._board.looked(able, self._era, facts)
        is_busy = bool(facts.get("running") or facts.get("queued"))
        return self._interval_s / HASTE if is_busy else self._interval_s

    def _ask(self, request: Request, rest_s: float) -> object:
        return self._principal.ask(request, rest_s)

    def _facts(self, able: Abilities) -> Mapping[str, object]:
        """What the principal tells of itself, told unless it is the same again. Raises UnreachableError."""
        try:
            facts: Mapping[str, object] = Questions(self._ask, able).answer(Facts())
        except UnreachableError:
            raise
        except CdktrError as error:
            self._told = None
            self._emit(Failed(Facts(), str(error)))
            return {}
        if (shown := self._shown(facts)) != self._told:
            self._told = shown
            self._emit(Arrived(Facts(), facts))
        return facts

    def _shown(self, facts: Mapping[str, object]) -> Mapping[str, object]:
        """The time since the start is always another, and shown beside the principal's own log alone."""
        if OwnLog() in self._board.order.wants:
            return facts
        return {name: value for name, value in facts.items() if name != "uptime_s"}

    def _is_another(self, facts: Mapping[str, object]) -> bool:
        """Whether the principal was restarted between two looks: it may be another version, and counts anew."""
        up, before = facts.get("uptime_s"), self._up
        self._up = up if isinstance(up, float) else 0.0
        return self._up < before


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer that was told: what it is good for, and until when nobody asks again."""

    answer: object
    mark: object
    rests_until: float


class Wanted:
    """Keeps what is wanted of one lane fresh; what did not change is not asked for, or not told."""

    def __init__(self, principal: Principal, lane: Lane, board: Board, emit: Emit) -> None:
        self._principal = principal
        self._lane = lane
        self._board = board
        self._emit = emit
        self._era = 0
        self._questions: Questions | None = None
        self._known: dict[Want, _Known] = {}

    def run(self) -> None:
        """For ever."""
        order = Order()
        while True:
            order = self._board.next(order.number)
            self.look(order)

    def look(self, order: Order) -> None:
        """Ask for what is not fresh, until there is another order."""
        if order.able is None or order.facts is None:
            return
        if self._questions is None or self._era != order.era:
            self._known.clear()
            self._questions, self._era = Questions(self._ask, order.able), order.era
        missing = self._board.missing(self._lane)
        wanted = [want for want in order.wants if want != Facts() and lane_of(want) is self._lane]
        self._known = {want: known for want, known in self._known.items() if want in wanted and want not in missing}
        for want in wanted:
            revision = _revision(want, order.facts)
            # Without a number, it may be another at each look.
            mark = ("look", order.look) if revision is None else revision
            if not self._is_fresh(want, mark):
                self._answer(self._questions, want, mark, UNKNOWN_S if revision is None else CHANGED_S)
                if self._board.order.number != order.number:
                    # Perhaps nobody wants the rest any more.
                    return

    def _ask(self, request: Request, rest_s: float) -> object:
        return self._principal.ask(request, rest_s)

    def _answer(self, questions: Questions, want: Want, mark: object, most_s: float) -> None:
        """Ask, and tell the answer unless it is the last one again."""
        began = time.monotonic()
        before, answer = self._known.get(want), object()
        try:
            answer = questions.answer(want)
        except CdktrError as error:
            # Also one that does not answer in time: whether it is there at all, `Front` tells.
            self._emit(Failed(want, str(error)))
            mark = answer
        else:
            if before is None or before.answer != answer:
                self._emit(Arrived(want, answer))
        now = time.monotonic()
        self._known[want] = _Known(answer, mark, now + min((now - began) * MODESTY, most_s))

    def _is_fresh(self, want: Want, mark: object) -> bool:
        known = self._known.get(want)
        return known is not None and (known.mark == mark or time.monotonic() < known.rests_until)


def _revision(want: Want, facts: Mapping[str, object]) -> object:
    """What is the same as long as the answer is; None where that is not known."""
    revisions, name = facts.get("revisions"), REVISION_OF.get(type(want))
    if not isinstance(revisions, dict) or name is None:
        return None
    # Another process counts anew.
    return facts.get("pid"), facts.get("host"), revisions.get(name)
